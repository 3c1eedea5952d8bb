package usher.elasticsearch;

import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLHandshakeException;
import javax.net.ssl.SSLPeerUnverifiedException;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.base.sink.writer.AsyncSinkWriter;
import org.apache.flink.connector.base.sink.writer.BufferedRequestState;
import org.apache.flink.connector.base.sink.writer.DequeRequestBuffer;
import org.apache.flink.connector.base.sink.writer.ElementConverter;
import org.apache.flink.connector.base.sink.writer.RequestEntryWrapper;
import org.apache.flink.connector.base.sink.writer.ResultHandler;
import org.apache.flink.connector.base.sink.writer.SimpleBatchCreator;
import org.apache.flink.connector.base.sink.writer.config.AsyncSinkWriterConfiguration;
import org.apache.flink.connector.base.sink.writer.strategy.AIMDScalingStrategy;
import org.apache.flink.connector.base.sink.writer.strategy.CongestionControlRateLimitingStrategy;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Histogram;
import org.apache.flink.metrics.ThreadSafeSimpleCounter;
import org.apache.flink.runtime.metrics.DescriptiveStatisticsHistogram;
import org.apache.flink.table.data.RowData;
import org.elasticsearch.client.Response;
import org.elasticsearch.client.ResponseException;
import org.elasticsearch.client.ResponseListener;
import org.elasticsearch.client.RestClient;

/**
 * Sends bulks and sorts the answers: taken, already newer (409), put off (429, 5xx, no answer: again after a pause),
 * refused (any other 4xx: to the dead letters), or hopeless (no access, no index: the job fails and says why).
 */
final class ElasticsearchWriter extends AsyncSinkWriter<RowData, Document> {
    private static final long MAX_DELAY_MS = 10_000;
    /** Percentiles are over so many documents. */
    private static final int FRESHNESS_WINDOW = 5_000;
    private static final Set<String> INDEX_FAULTS = Set.of("index_not_found_exception", "index_closed_exception");

    final Counter documentsWritten;
    final Counter alreadyNewer;
    final Counter retries;
    final Counter deadLettered;
    /** Milliseconds from a row's version, where that is a time, to its being written; null where it is none. */
    private final Histogram freshness;

    private final ElasticsearchSettings settings;
    private final RestClient client;
    private final DeadLetters deadLetters;
    private final ScheduledExecutorService pause = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "elasticsearch-retry");
        thread.setDaemon(true);
        return thread;
    });
    private volatile boolean closed;

    ElasticsearchWriter(ElementConverter<RowData, Document> converter, WriterInitContext context,
            ElasticsearchSettings settings, Collection<BufferedRequestState<Document>> state) {
        super(converter, context, configuration(settings), fitting(state, settings.maxBytes()),
                new SimpleBatchCreator<>(settings.maxBytes()), new DequeRequestBuffer<>());
        this.settings = settings;
        this.client = Clients.create(settings);
        this.deadLetters = settings.deadLetterPath() == null ? null : new DeadLetters(settings.deadLetterPath(),
                settings.index(), context.getTaskInfo().getIndexOfThisSubtask());
        this.documentsWritten = counter(context, "documentsWritten");
        this.alreadyNewer = counter(context, "alreadyNewer");
        this.retries = counter(context, "retries");
        this.deadLettered = counter(context, "deadLetters");
        this.freshness = settings.versionIsTime()
                ? context.metricGroup().addGroup("usher").histogram("freshnessMs",
                        new DescriptiveStatisticsHistogram(FRESHNESS_WINDOW))
                : null;
    }

    /** Thread-safe, because answers arrive on the client's threads. */
    private static Counter counter(WriterInitContext context, String name) {
        return context.metricGroup().addGroup("usher").counter(name, new ThreadSafeSimpleCounter());
    }

    private static AsyncSinkWriterConfiguration configuration(ElasticsearchSettings settings) {
        int most = settings.maxActions() * settings.maxInFlight();
        // Flink's default regains ten documents per call: minutes of tiny bulks after every outage.
        var scaling = AIMDScalingStrategy.builder(most).setIncreaseRate(Math.max(1, settings.maxActions() / 4)).build();
        var limit = CongestionControlRateLimitingStrategy.builder().setMaxInFlightRequests(settings.maxInFlight())
                .setInitialMaxInFlightMessages(most).setScalingStrategy(scaling).build();
        return AsyncSinkWriterConfiguration.builder()
                .setMaxBatchSize(settings.maxActions())
                .setMaxBatchSizeInBytes(settings.maxBytes())
                .setMaxInFlightRequests(settings.maxInFlight())
                .setMaxBufferedRequests(ElasticsearchSink.maxBuffered(settings))
                .setMaxTimeInBufferMS(settings.flushInterval().toMillis())
                .setMaxRecordSizeInBytes(settings.maxBytes())
                .setRateLimitingStrategy(limit)
                // The client has its own timeouts, and a delivery always ends; Flink's must not send it twice.
                .setRequestTimeoutMS(TimeUnit.DAYS.toMillis(1))
                .build();
    }

    @Override
    protected void submitRequestEntries(List<Document> batch, ResultHandler<Document> handler) {
        List<Document> newest = Bulk.collapse(batch);
        alreadyNewer.inc(batch.size() - newest.size());
        new Delivery(newest, handler).sendNext();
    }

    /** A document larger than a bulk should be travels alone; whether that is too large, Elasticsearch says. */
    @Override
    protected long getSizeInBytes(Document document) {
        return Math.min(document.sizeInBytes(), settings.maxBytes());
    }

    /** A job restored with a smaller 'max-size' would otherwise refuse its own state. */
    private static List<BufferedRequestState<Document>> fitting(
            Collection<BufferedRequestState<Document>> states, long maxBytes) {
        return states.stream().map(state -> new BufferedRequestState<>(state.getBufferedRequestEntries().stream()
                .map(entry -> new RequestEntryWrapper<>(entry.getRequestEntry(), Math.min(entry.getSize(), maxBytes)))
                .toList())).toList();
    }

    static long delayMs(long firstMs, int attempt) {
        long full = Math.min(Math.max(firstMs, MAX_DELAY_MS), firstMs << Math.min(attempt - 1, 20));
        // Half of it is chance, so that subtasks that failed together do not come back together.
        return full / 2 + ThreadLocalRandom.current().nextLong(full / 2 + 1);
    }

    @Override
    public void close() {
        closed = true;
        pause.shutdownNow();
        try {
            client.close();
        } catch (IOException e) {
            // Nothing is waiting for an answer any more.
        }
    }

    private static boolean isPutOff(int status) {
        return status == 408 || status == 429 || status >= 500;
    }

    /** One batch from first call to last answer. Its calls follow one another, so it needs no lock. */
    private final class Delivery implements ResponseListener {
        private final ResultHandler<Document> handler;
        private final Deque<List<Document>> parts = new ArrayDeque<>();
        private final List<Document> putOff = new ArrayList<>();
        private List<Document> sent = List.of();
        private String reason;

        Delivery(List<Document> documents, ResultHandler<Document> handler) {
            this.handler = handler;
            this.parts.add(documents);
        }

        void sendNext() {
            if (parts.isEmpty()) {
                finish();
                return;
            }
            sent = parts.pop();
            try {
                client.performRequestAsync(Bulk.request(settings.index(), sent), this);
            } catch (Exception e) {
                fail(e);
            }
        }

        @Override
        public void onSuccess(Response response) {
            try (InputStream answer = response.getEntity().getContent()) {
                List<Bulk.Outcome> outcomes = Bulk.outcomes(answer, sent.size());
                for (int i = 0; i < sent.size(); i++) {
                    sort(sent.get(i), outcomes.get(i), response.getHost().toURI());
                }
            } catch (SinkException e) {
                fail(e);
                return;
            } catch (IOException | RuntimeException e) {
                putOffAll("answered unreadably: " + e.getClass().getSimpleName());
                return;
            }
            sendNext();
        }

        @Override
        public void onFailure(Exception failure) {
            try {
                if (failure instanceof ResponseException answered) {
                    refused(answered.getResponse());
                } else if (failure instanceof SSLHandshakeException || failure instanceof SSLPeerUnverifiedException) {
                    throw new SinkException(where() + " shows a certificate that is not trusted: set"
                            + " 'ssl.certificate-authority'.", failure);
                } else {
                    putOffAll(failure.getClass().getSimpleName() + ": " + failure.getMessage());
                }
            } catch (Exception e) {
                fail(e);
            }
        }

        private void sort(Document document, Bulk.Outcome outcome, String host) {
            int status = outcome.status();
            if (status < 300 || status == 404 && outcome.type() == null) {
                documentsWritten.inc(); // 404 without an error: what is to be deleted is not there
                if (freshness != null && document.version != null) {
                    freshness.update(System.currentTimeMillis() - document.version);
                }
            } else if (status == 409) {
                alreadyNewer.inc();
            } else if (isPutOff(status)) {
                reason = host + " answered " + status + " " + outcome.type();
                putOff.add(document);
            } else if (status == 401 || status == 403 || INDEX_FAULTS.contains(outcome.type())) {
                throw hopeless(host, outcome);
            } else {
                bury(document, outcome);
            }
        }

        private void refused(Response response) throws IOException {
            int status = response.getStatusLine().getStatusCode();
            String host = response.getHost().toURI();
            if (isPutOff(status)) {
                putOffAll(host + " answered " + status);
                return;
            }
            Bulk.Outcome outcome = response.getEntity() == null ? new Bulk.Outcome(status, "unknown", "no reason given")
                    : Bulk.refusal(status, response.getEntity().getContent());
            if (status != 400 && status != 413 || INDEX_FAULTS.contains(outcome.type())) {
                throw hopeless(host, outcome);
            }
            if (sent.size() > 1) {
                // One bad id, or too much at once, refuses the whole bulk: halve until the culprit is alone.
                int middle = sent.size() / 2;
                parts.push(sent.subList(middle, sent.size()));
                parts.push(sent.subList(0, middle));
            } else {
                bury(sent.get(0), outcome);
            }
            sendNext();
        }

        private void putOffAll(String why) {
            reason = why;
            putOff.addAll(sent);
            parts.forEach(putOff::addAll);
            parts.clear();
            finish();
        }

        private void finish() {
            if (putOff.isEmpty()) {
                handler.complete();
                return;
            }
            int attempt = 0;
            for (Document document : putOff) {
                attempt = Math.max(attempt, ++document.attempts);
            }
            if (attempt > settings.maxRetries()) {
                fail(new SinkException(where() + " did not take " + putOff.size() + " documents after "
                        + settings.maxRetries() + " retries, the last time because of: " + reason
                        + ". The job goes back to its last checkpoint; see that the cluster is up and keeps pace.",
                        null));
                return;
            }
            retries.inc(putOff.size());
            again(delayMs(settings.retryDelay().toMillis(), attempt));
        }

        private void again(long delayMs) {
            try {
                pause.schedule(() -> handler.retryForEntries(putOff), delayMs, TimeUnit.MILLISECONDS);
            } catch (RejectedExecutionException e) {
                // Closed meanwhile: the checkpoint or the source has these documents.
            }
        }

        private void bury(Document document, Bulk.Outcome outcome) {
            if (deadLetters == null) {
                throw new SinkException(where() + " refuses document '" + document.id + "' with " + outcome.status()
                        + " " + withoutContent(outcome)
                        + ". Mend the mapping or the row, or set 'sink.dead-letter.path' to put such documents aside.",
                        null);
            }
            try {
                deadLetters.append(document, outcome);
                deadLettered.inc();
            } catch (IOException e) {
                throw new SinkException("A refused document cannot be written to 'sink.dead-letter.path' = '"
                        + settings.deadLetterPath() + "': " + e.getClass().getSimpleName() + ".", e);
            }
        }

        private SinkException hopeless(String host, Bulk.Outcome outcome) {
            String remedy = switch (outcome.status()) {
                case 401 -> "does not accept the credentials: check 'username' and 'password', or 'api-key'";
                case 403 -> "does not allow writing: give the user or key the 'write' privilege, or unblock the index";
                case 404 -> "has no such index: create it (or its alias) before the job starts";
                default -> "cannot take any document: see to the index and the address";
            };
            return new SinkException("Elasticsearch at " + host + ", index '" + settings.index() + "', " + remedy
                    + " (" + outcome.status() + " " + withoutContent(outcome) + ").", null);
        }

        private String where() {
            return settings.toString();
        }

        private void fail(Exception e) {
            if (!closed) {
                handler.completeExceptionally(e);
            }
        }
    }

    /** Elasticsearch quotes the value it could not parse; a log is no place for it. */
    static String withoutContent(Bulk.Outcome outcome) {
        String reason = String.valueOf(outcome.reason());
        for (String quote : List.of("Preview of field's value", "For input string", "failed to parse date field")) {
            int at = reason.indexOf(quote);
            reason = at < 0 ? reason : reason.substring(0, at);
        }
        return outcome.type() + ": " + reason.strip().replaceAll("\\.$", "");
    }

    /** What the operator reads when the job fails. */
    static final class SinkException extends RuntimeException {
        private static final long serialVersionUID = 1L;

        SinkException(String message, Throwable cause) {
            super(message, cause);
        }
    }
}
