package usher.elasticsearch;

import java.util.stream.IntStream;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.table.catalog.ResolvedSchema;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.Projection;
import org.apache.flink.table.connector.format.EncodingFormat;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.sink.SinkV2Provider;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.types.RowKind;

/**
 * An upsert table over one index: a row is a whole document, its primary key the document id. With a version column,
 * every change of a document must carry a greater version; Elasticsearch remembers the version of a deleted one for
 * {@code index.gc_deletes} (60 s unless set).
 */
final class ElasticsearchTableSink implements DynamicTableSink {
    private final ElasticsearchSettings settings;
    private final EncodingFormat<SerializationSchema<RowData>> format;
    private final ResolvedSchema schema;
    private final DataType rowType;
    private final String keyDelimiter;
    private final String versionColumn;
    private final boolean excludeVersion;
    private final boolean delete;
    private final Integer parallelism;

    ElasticsearchTableSink(ElasticsearchSettings settings, EncodingFormat<SerializationSchema<RowData>> format,
            ResolvedSchema schema, DataType rowType, String keyDelimiter, String versionColumn,
            boolean excludeVersion, boolean delete, Integer parallelism) {
        this.settings = settings;
        this.format = format;
        this.schema = schema;
        this.rowType = rowType;
        this.keyDelimiter = keyDelimiter;
        this.versionColumn = versionColumn;
        this.excludeVersion = excludeVersion;
        this.delete = delete;
        this.parallelism = parallelism;
    }

    @Override
    public ChangelogMode getChangelogMode(ChangelogMode requested) {
        if (versionColumn != null && requested.containsOnly(RowKind.INSERT)) {
            // Elasticsearch itself keeps the newest version, in whatever order rows come. Saying "upsert" here would
            // make Flink ask for an ON CONFLICT clause and keep a history of every row to do that work again.
            return ChangelogMode.insertOnly();
        }
        // A delete that carried only its key would have no version to say which document it deletes.
        return ChangelogMode.upsert(versionColumn == null);
    }

    @Override
    public SinkRuntimeProvider getSinkRuntimeProvider(Context context) {
        int version = DataType.getFieldNames(rowType).indexOf(versionColumn);
        int[] columns = IntStream.range(0, DataType.getFieldCount(rowType))
                .filter(column -> !excludeVersion || column != version).toArray();
        var encoder = format.createRuntimeEncoder(context, Projection.of(columns).project(rowType));
        int[] keys = physicalKeys();
        var converter = new RowConverter(DataType.getFieldDataTypes(rowType), keys, keyDelimiter, version,
                excludeVersion ? columns : null, encoder, delete);
        return SinkV2Provider.of(new ElasticsearchSink(converter, settings), parallelism);
    }

    /** Computed columns never reach a sink, so positions in the schema are not positions in its rows. */
    private int[] physicalKeys() {
        var names = DataType.getFieldNames(rowType);
        return schema.getPrimaryKey().orElseThrow().getColumns().stream().mapToInt(names::indexOf).toArray();
    }

    @Override
    public DynamicTableSink copy() {
        return new ElasticsearchTableSink(settings, format, schema, rowType, keyDelimiter, versionColumn,
                excludeVersion, delete, parallelism);
    }

    @Override
    public String asSummaryString() {
        return settings.toString();
    }
}
