package usher.elasticsearch;

import static org.apache.flink.configuration.ConfigOptions.key;

import java.time.Duration;
import java.util.List;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.MemorySize;

/** The options of {@code 'connector' = 'elasticsearch'}; where the official table connector has one, its name. */
public final class ElasticsearchOptions {
    public static final ConfigOption<List<String>> HOSTS = key("hosts").stringType().asList().noDefaultValue()
            .withDescription("Addresses with scheme and port, separated by ';'.");
    public static final ConfigOption<String> INDEX = key("index").stringType().noDefaultValue()
            .withDescription("Index or alias to write to.");
    public static final ConfigOption<String> KEY_DELIMITER = key("document-id.key-delimiter").stringType()
            .defaultValue("_").withDescription("Joins the primary key columns into the document id.");
    public static final ConfigOption<String> USERNAME = key("username").stringType().noDefaultValue();
    public static final ConfigOption<String> PASSWORD = key("password").stringType().noDefaultValue();
    public static final ConfigOption<String> API_KEY = key("api-key").stringType().noDefaultValue()
            .withDescription("Encoded API key, instead of username and password.");
    public static final ConfigOption<String> CERTIFICATE_AUTHORITY = key("ssl.certificate-authority").stringType()
            .noDefaultValue().withDescription("PEM file, on every task manager, of the authority to trust.");
    public static final ConfigOption<String> PATH_PREFIX = key("connection.path-prefix").stringType().noDefaultValue();
    public static final ConfigOption<Duration> POOL_TIMEOUT = key("connection.request-timeout").durationType()
            .defaultValue(Duration.ofSeconds(30)).withDescription("Longest wait for a pooled connection.");
    public static final ConfigOption<Duration> CONNECT_TIMEOUT = key("connection.timeout").durationType()
            .defaultValue(Duration.ofSeconds(5));
    public static final ConfigOption<Duration> SOCKET_TIMEOUT = key("socket.timeout").durationType()
            .defaultValue(Duration.ofSeconds(30)).withDescription("Longest silence while waiting for an answer.");
    public static final ConfigOption<Integer> MAX_ACTIONS = key("sink.bulk-flush.max-actions").intType()
            .defaultValue(1000);
    public static final ConfigOption<MemorySize> MAX_SIZE = key("sink.bulk-flush.max-size").memoryType()
            .defaultValue(MemorySize.parse("2mb"));
    public static final ConfigOption<Duration> FLUSH_INTERVAL = key("sink.bulk-flush.interval").durationType()
            .defaultValue(Duration.ofMillis(200)).withDescription("Longest time a row waits for company.");
    public static final ConfigOption<Integer> MAX_IN_FLIGHT = key("sink.max-in-flight-requests").intType()
            .noDefaultValue().withDescription("Default 2 with a version column; without one 1, which keeps the order.");
    /** With doubling from 200 ms to 10 s and jitter, twenty retries last 76 to 152 s: a node restart fits. */
    public static final ConfigOption<Integer> MAX_RETRIES = key("sink.bulk-flush.backoff.max-retries").intType()
            .defaultValue(20).withDescription("How often in a row one document is retried before the job fails.");
    public static final ConfigOption<Duration> RETRY_DELAY = key("sink.bulk-flush.backoff.delay").durationType()
            .defaultValue(Duration.ofMillis(200)).withDescription("First delay; doubles up to 10 s, with jitter.");
    public static final ConfigOption<String> VERSION_COLUMN = key("sink.version.column").stringType().noDefaultValue()
            .withDescription("BIGINT or TIMESTAMP_LTZ(3) column sent as the external version.");
    public static final ConfigOption<Boolean> VERSION_EXCLUDE = key("sink.version.exclude").booleanType()
            .defaultValue(false).withDescription("Leave the version column out of the document.");
    public static final ConfigOption<Boolean> DELETE = key("sink.delete").booleanType().defaultValue(false)
            .withDescription("Every row deletes the document that its key names, unless a newer version is stored.");
    public static final ConfigOption<String> DEAD_LETTER_PATH = key("sink.dead-letter.path").stringType()
            .noDefaultValue().withDescription("Local directory, or file ending in .ndjson, for refused documents.");

    private ElasticsearchOptions() {}
}
