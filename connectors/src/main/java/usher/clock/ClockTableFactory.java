package usher.clock;

import java.time.Duration;
import java.util.Set;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.util.ratelimit.GuavaRateLimiter;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.SourceProvider;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;

/**
 * {@code 'connector' = 'clock'}: a table of one TIMESTAMP_LTZ(3) column, which is now, and 1970 for the first seconds
 * ({@code grace}) after each start, also after a failover: a backlog in Kafka that has not been fetched yet must not be
 * made late by a clock that is ahead of it. Each subtask beats so often a second, evenly, where Flink's table
 * {@code datagen} emits all rows of a second at once (docs/speed.md).
 */
public final class ClockTableFactory implements DynamicTableSourceFactory {
    private static final ConfigOption<Integer> BEATS_PER_SECOND =
            ConfigOptions.key("beats-per-second").intType().noDefaultValue();
    private static final ConfigOption<Duration> GRACE = ConfigOptions.key("grace").durationType().noDefaultValue();
    private static final ConfigOption<Long> NUMBER_OF_BEATS =
            ConfigOptions.key("number-of-beats").longType().defaultValue(Long.MAX_VALUE);

    @Override
    public String factoryIdentifier() {
        return "clock";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(BEATS_PER_SECOND, GRACE);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of(NUMBER_OF_BEATS);
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        var helper = FactoryUtil.createTableFactoryHelper(this, context);
        helper.validate();
        var options = helper.getOptions();
        return new Clock(context.getPhysicalRowDataType(), options.get(BEATS_PER_SECOND), options.get(GRACE).toMillis(),
                options.get(NUMBER_OF_BEATS));
    }

    private record Clock(DataType type, int beatsPerSecond, long graceMs, long beats) implements ScanTableSource {
        @Override
        public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
            return SourceProvider.of(source(context));
        }

        private Source<RowData, ?, ?> source(ScanContext context) {
            int perSecond = beatsPerSecond;
            return new DataGeneratorSource<>(new Now(graceMs), beats, parallelism -> new GuavaRateLimiter<>(perSecond),
                    context.createTypeInformation(type));
        }

        @Override
        public ChangelogMode getChangelogMode() {
            return ChangelogMode.insertOnly();
        }

        @Override
        public DynamicTableSource copy() {
            return this;
        }

        @Override
        public String asSummaryString() {
            return "clock";
        }
    }

    private static final class Now implements GeneratorFunction<Long, RowData> {
        private final long graceMs;
        private transient long started;

        Now(long graceMs) {
            this.graceMs = graceMs;
        }

        @Override
        public void open(SourceReaderContext context) {
            started = System.currentTimeMillis();
        }

        @Override
        public RowData map(Long beat) {
            long now = System.currentTimeMillis();
            return GenericRowData.of(TimestampData.fromEpochMillis(now - started < graceMs ? 0 : now));
        }
    }
}
