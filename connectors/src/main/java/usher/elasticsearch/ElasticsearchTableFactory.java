package usher.elasticsearch;

import static usher.elasticsearch.ElasticsearchOptions.*;

import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.catalog.ResolvedSchema;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.factories.DynamicTableSinkFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.factories.SerializationFormatFactory;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.utils.LogicalTypeChecks;

/** Finds the sink for {@code 'connector' = 'elasticsearch'} and says, all at once, what is wrong with its options. */
public final class ElasticsearchTableFactory implements DynamicTableSinkFactory {
    @Override
    public String factoryIdentifier() {
        return "elasticsearch";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(HOSTS, INDEX, FactoryUtil.FORMAT);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of(KEY_DELIMITER, USERNAME, PASSWORD, API_KEY, CERTIFICATE_AUTHORITY, PATH_PREFIX, POOL_TIMEOUT,
                CONNECT_TIMEOUT, SOCKET_TIMEOUT, MAX_ACTIONS, MAX_SIZE, FLUSH_INTERVAL, MAX_IN_FLIGHT, MAX_RETRIES,
                RETRY_DELAY, VERSION_COLUMN, VERSION_EXCLUDE, DELETE, DEAD_LETTER_PATH, FactoryUtil.SINK_PARALLELISM);
    }

    @Override
    public DynamicTableSink createDynamicTableSink(Context context) {
        var helper = FactoryUtil.createTableFactoryHelper(this, context);
        var format = helper.discoverEncodingFormat(SerializationFormatFactory.class, FactoryUtil.FORMAT);
        helper.validate();
        ReadableConfig options = helper.getOptions();
        ResolvedSchema schema = context.getCatalogTable().getResolvedSchema();
        List<String> problems = new ArrayList<>();
        checkConnection(options, problems);
        checkNumbers(options, problems);
        checkSchema(options, schema, problems);
        if (!"json".equals(options.get(FactoryUtil.FORMAT))) {
            problems.add("'format' must be 'json': Elasticsearch takes nothing else.");
        }
        if (!problems.isEmpty()) {
            throw new ValidationException("The Elasticsearch table " + context.getObjectIdentifier().asSummaryString()
                    + " cannot be used:\n - " + String.join("\n - ", problems));
        }
        return new ElasticsearchTableSink(settings(options, schema), format, schema, context.getPhysicalRowDataType(),
                options.get(KEY_DELIMITER), options.get(VERSION_COLUMN), options.get(VERSION_EXCLUDE), options.get(DELETE),
                options.getOptional(FactoryUtil.SINK_PARALLELISM).orElse(null));
    }

    private static void checkConnection(ReadableConfig options, List<String> problems) {
        if (options.get(HOSTS).isEmpty()) {
            problems.add("'hosts' is empty: write it like 'http://localhost:9200;http://other:9200'.");
        }
        for (String host : options.get(HOSTS)) {
            checkHost(host.trim(), problems);
        }
        String index = options.get(INDEX);
        if (!index.matches("[^A-Z\\\\/*?\"<>| ,#:{}+_.-][^A-Z\\\\/*?\"<>| ,#:{}]*")) {
            problems.add("'index' = '" + index + "' is no Elasticsearch index or alias: use lower case, and none of"
                    + " \\ / * ? \" < > | , # : { } or a space (an index per row is not supported).");
        }
        boolean user = options.getOptional(USERNAME).isPresent();
        if (user != options.getOptional(PASSWORD).isPresent()) {
            problems.add("'username' and 'password' go together: one of them is set without the other.");
        }
        if (user && options.getOptional(API_KEY).isPresent()) {
            problems.add("'api-key' and 'username' are both set: keep one of them.");
        }
        if (options.getOptional(DEAD_LETTER_PATH).filter(p -> p.isBlank() || p.contains("://")).isPresent()) {
            problems.add("'sink.dead-letter.path' must be a local path, '" + options.get(DEAD_LETTER_PATH)
                    + "' is none.");
        }
    }

    private static void checkHost(String host, List<String> problems) {
        if (host.contains("@")) {
            // Do not repeat it: what stands before the @ is a password.
            problems.add("'hosts' must not hold a password: use 'username' and 'password', or 'api-key'.");
            return;
        }
        try {
            URI uri = URI.create(host);
            boolean known = "http".equals(uri.getScheme()) || "https".equals(uri.getScheme());
            boolean bare = uri.getPath() == null || uri.getPath().isEmpty() || uri.getPath().equals("/");
            if (known && uri.getHost() != null && bare) {
                return;
            }
        } catch (IllegalArgumentException e) {
            // Said below.
        }
        problems.add("'hosts' holds '" + host + "', which is no address: write it like 'http://localhost:9200'"
                + " (a path belongs in 'connection.path-prefix').");
    }

    private static void checkNumbers(ReadableConfig options, List<String> problems) {
        positive(MAX_ACTIONS, options.get(MAX_ACTIONS), problems);
        positive(MAX_SIZE, options.get(MAX_SIZE).getBytes(), problems);
        for (ConfigOption<Duration> option : List.of(FLUSH_INTERVAL, RETRY_DELAY, POOL_TIMEOUT, CONNECT_TIMEOUT,
                SOCKET_TIMEOUT)) {
            positive(option, options.get(option).toMillis(), problems);
        }
        if (options.get(MAX_RETRIES) < 0) {
            problems.add("'" + MAX_RETRIES.key() + "' must not be negative.");
        }
        options.getOptional(MAX_IN_FLIGHT).ifPresent(value -> {
            positive(MAX_IN_FLIGHT, value, problems);
            if (value > 1 && options.getOptional(VERSION_COLUMN).isEmpty()) {
                // A retried bulk could overtake a newer one, and nothing in Elasticsearch would notice.
                problems.add("'" + MAX_IN_FLIGHT.key() + "' = " + value
                        + " needs 'sink.version.column': without a version, a retry may overwrite a newer document.");
            }
        });
    }

    private static void positive(ConfigOption<?> option, long value, List<String> problems) {
        if (value <= 0) {
            problems.add("'" + option.key() + "' must be greater than zero.");
        }
    }

    private static void checkSchema(ReadableConfig options, ResolvedSchema schema, List<String> problems) {
        if (schema.getPrimaryKeyIndexes().length == 0) {
            problems.add("it has no primary key, from which document ids are made: add PRIMARY KEY (…) NOT ENFORCED.");
        }
        for (String name : schema.getPrimaryKey().map(key -> key.getColumns()).orElse(List.of())) {
            LogicalType type = schema.getColumn(name).orElseThrow().getDataType().getLogicalType();
            if (!RowConverter.canBeKey(type)) {
                problems.add("primary key column '" + name + "' is " + type.asSummaryString()
                        + ", which cannot be part of a document id: CAST it to STRING.");
            }
        }
        String version = options.get(VERSION_COLUMN);
        if (version != null) {
            LogicalType type = schema.getColumn(version).filter(Column::isPhysical)
                    .map(column -> column.getDataType().getLogicalType()).orElse(null);
            if (type == null) {
                problems.add("'sink.version.column' = '" + version + "' is no column of the table, which has "
                        + schema.getColumnNames() + ".");
            } else if (!isVersion(type)) {
                problems.add("version column '" + version + "' is " + type.asSummaryString()
                        + ": it must be BIGINT or TIMESTAMP_LTZ(3).");
            }
        } else if (options.get(DELETE)) {
            problems.add("'sink.delete' is set without 'sink.version.column': nothing would say whether the document is"
                    + " older than its deletion.");
        } else if (options.get(VERSION_EXCLUDE)) {
            problems.add("'sink.version.exclude' is set without 'sink.version.column'.");
        }
    }

    private static boolean isVersion(LogicalType type) {
        return type.is(LogicalTypeRoot.BIGINT)
                || type.is(LogicalTypeRoot.TIMESTAMP_WITH_LOCAL_TIME_ZONE) && LogicalTypeChecks.getPrecision(type) <= 3;
    }

    private static ElasticsearchSettings settings(ReadableConfig options, ResolvedSchema schema) {
        return new ElasticsearchSettings(
                options.get(HOSTS).stream().map(host -> host.trim().replaceAll("/$", "")).toList(),
                options.get(PATH_PREFIX), options.get(INDEX), options.get(USERNAME), options.get(PASSWORD),
                options.get(API_KEY), options.get(CERTIFICATE_AUTHORITY), options.get(MAX_ACTIONS),
                options.get(MAX_SIZE).getBytes(), options.get(FLUSH_INTERVAL),
                options.getOptional(MAX_IN_FLIGHT).orElse(options.getOptional(VERSION_COLUMN).isPresent() ? 2 : 1),
                options.get(MAX_RETRIES), options.get(RETRY_DELAY), options.get(POOL_TIMEOUT),
                options.get(CONNECT_TIMEOUT), options.get(SOCKET_TIMEOUT), options.get(DEAD_LETTER_PATH),
                versionIsTime(options, schema));
    }

    private static boolean versionIsTime(ReadableConfig options, ResolvedSchema schema) {
        return options.getOptional(VERSION_COLUMN).flatMap(schema::getColumn)
                .map(column -> column.getDataType().getLogicalType().is(LogicalTypeRoot.TIMESTAMP_WITH_LOCAL_TIME_ZONE))
                .orElse(false);
    }
}
