package usher.elasticsearch;

import java.io.IOException;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.TaskInfo;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.api.common.operators.ProcessingTimeService;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.base.sink.writer.BufferedRequestState;
import org.apache.flink.connector.base.sink.writer.ElementConverter;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.util.function.ThrowingRunnable;

/** A writer without a cluster: the test thread is the task thread, and bulks leave only when the test flushes. */
final class WriterHarness implements AutoCloseable {
    final ElasticsearchWriter writer;
    private final LinkedBlockingQueue<ThrowingRunnable<? extends Exception>> mails = new LinkedBlockingQueue<>();

    WriterHarness(ElasticsearchSettings settings, List<BufferedRequestState<Document>> state) {
        ElementConverter<RowData, Document> converter = new ElementConverter<>() {
            @Override
            public Document apply(RowData row, SinkWriter.Context context) {
                byte[] body = row.isNullAt(2) ? null : row.getString(2).toBytes();
                return new Document(row.getString(0).toString(), row.getLong(1), body);
            }
        };
        writer = new ElasticsearchWriter(converter, context(), settings, state);
    }

    static Settings settings(String... hosts) {
        return new Settings(List.of(hosts));
    }

    /** Short delays, everything else as a table has it. */
    static final class Settings {
        private final List<String> hosts;
        private int retries = 50;
        private String deadLetters;
        private int maxActions = 100;

        Settings(List<String> hosts) {
            this.hosts = hosts;
        }

        Settings retries(int value) {
            retries = value;
            return this;
        }

        Settings deadLetters(String value) {
            deadLetters = value;
            return this;
        }

        Settings maxActions(int value) {
            maxActions = value;
            return this;
        }

        ElasticsearchSettings get() {
            Duration wait = Duration.ofSeconds(5);
            return new ElasticsearchSettings(hosts, null, "profiles", "writer", "s3cret-word", null, null, maxActions,
                    1 << 20, Duration.ofHours(1), 2, retries, Duration.ofMillis(20), wait, wait, wait, deadLetters,
                    false);
        }

        WriterHarness open() {
            return new WriterHarness(get(), List.of());
        }
    }

    WriterHarness write(String id, long version, String document) throws IOException, InterruptedException {
        writer.write(GenericRowData.of(StringData.fromString(id), version, StringData.fromString(document)), null);
        return this;
    }

    /** As at the end of input: returns when every document has found its end, or throws what fails the job. */
    void flush() throws InterruptedException {
        writer.flush(true);
    }

    List<BufferedRequestState<Document>> snapshot() throws IOException {
        List<BufferedRequestState<Document>> restored = new ArrayList<>();
        Document.Serializer serializer = new Document.Serializer();
        for (BufferedRequestState<Document> state : writer.snapshotState(1)) {
            restored.add(serializer.deserialize(1, serializer.serialize(state)));
        }
        return restored;
    }

    @Override
    public void close() {
        writer.close();
    }

    private WriterInitContext context() {
        return fake(WriterInitContext.class, name -> switch (name) {
            case "getMailboxExecutor" -> new Mailbox();
            case "getProcessingTimeService" -> fake(ProcessingTimeService.class, call -> switch (call) {
                case "getCurrentProcessingTime" -> 0L;
                default -> fake(java.util.concurrent.ScheduledFuture.class, ignored -> false);
            });
            case "metricGroup" -> UnregisteredMetricsGroup.createSinkWriterMetricGroup();
            case "getTaskInfo" -> fake(TaskInfo.class, call -> 0);
            default -> throw new UnsupportedOperationException(name);
        });
    }

    @SuppressWarnings("unchecked")
    private static <T> T fake(Class<T> type, java.util.function.Function<String, Object> answers) {
        return (T) Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
                (proxy, method, arguments) -> answers.apply(method.getName()));
    }

    private final class Mailbox implements MailboxExecutor {
        @Override
        public void execute(MailOptions options, ThrowingRunnable<? extends Exception> command, String description,
                Object... arguments) {
            mails.add(command);
        }

        @Override
        public void yield() throws InterruptedException {
            var mail = mails.poll(30, TimeUnit.SECONDS);
            if (mail == null) {
                throw new AssertionError("no answer within 30 s");
            }
            run(mail);
        }

        @Override
        public boolean tryYield() {
            var mail = mails.poll();
            if (mail != null) {
                run(mail);
            }
            return mail != null;
        }

        @Override
        public boolean shouldInterrupt() {
            return false;
        }

        private void run(ThrowingRunnable<? extends Exception> mail) {
            try {
                mail.run();
            } catch (RuntimeException e) {
                throw e;
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
