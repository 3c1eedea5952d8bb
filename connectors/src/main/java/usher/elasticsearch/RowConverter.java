package usher.elasticsearch;

import java.time.LocalDate;
import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.base.sink.writer.ElementConverter;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.data.utils.ProjectedRowData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.types.RowKind;

/** Turns a row of the changelog into the document, or the deletion, that it stands for. */
final class RowConverter implements ElementConverter<RowData, Document> {
    private static final long serialVersionUID = 1L;

    private final List<RowData.FieldGetter> keys = new ArrayList<>();
    private final List<LogicalTypeRoot> keyTypes = new ArrayList<>();
    private final String keyDelimiter;
    private final RowData.FieldGetter version;
    /** The columns of the document; null is all of them. */
    private final int[] columns;
    private final SerializationSchema<RowData> encoder;
    /** Every row is a deletion. */
    private final boolean delete;

    RowConverter(List<DataType> types, int[] keys, String keyDelimiter, int version, int[] columns,
            SerializationSchema<RowData> encoder, boolean delete) {
        for (int key : keys) {
            this.keys.add(getter(types, key));
            this.keyTypes.add(types.get(key).getLogicalType().getTypeRoot());
        }
        this.keyDelimiter = keyDelimiter;
        this.version = version < 0 ? null : getter(types, version);
        this.columns = columns;
        this.encoder = encoder;
        this.delete = delete;
    }

    private static RowData.FieldGetter getter(List<DataType> types, int column) {
        return RowData.createFieldGetter(types.get(column).getLogicalType(), column);
    }

    static boolean canBeKey(LogicalType type) {
        return switch (type.getTypeRoot()) {
            case CHAR, VARCHAR, BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, DECIMAL, DATE,
                    TIMESTAMP_WITHOUT_TIME_ZONE, TIMESTAMP_WITH_LOCAL_TIME_ZONE -> true;
            default -> false;
        };
    }

    @Override
    public void open(WriterInitContext context) {
        try {
            encoder.open(context.asSerializationSchemaInitializationContext());
        } catch (Exception e) {
            throw new IllegalStateException("The format of the Elasticsearch table could not be opened.", e);
        }
    }

    @Override
    public Document apply(RowData row, SinkWriter.Context context) {
        // Where a filter lets only the old half of an update through, Flink sends it although we did not ask for
        // UPDATE_BEFORE: the row has left the result.
        boolean gone = delete || row.getRowKind() == RowKind.DELETE || row.getRowKind() == RowKind.UPDATE_BEFORE;
        return new Document(id(row), version(row), gone ? null : encoder.serialize(document(row)));
    }

    private RowData document(RowData row) {
        return columns == null ? row : ProjectedRowData.from(columns).replaceRow(row);
    }

    private String id(RowData row) {
        StringJoiner id = new StringJoiner(keyDelimiter);
        for (int i = 0; i < keys.size(); i++) {
            Object value = keys.get(i).getFieldOrNull(row);
            if (value == null) {
                throw new IllegalArgumentException("A row for Elasticsearch has NULL in primary key column number "
                        + (i + 1) + ": filter such rows out, or COALESCE the column, before the INSERT.");
            }
            id.add(text(value, keyTypes.get(i)));
        }
        return id.toString();
    }

    private static String text(Object value, LogicalTypeRoot type) {
        return switch (type) {
            case DATE -> LocalDate.ofEpochDay((Integer) value).toString();
            case TIMESTAMP_WITHOUT_TIME_ZONE -> ((TimestampData) value).toLocalDateTime().toString();
            case TIMESTAMP_WITH_LOCAL_TIME_ZONE -> ((TimestampData) value).toInstant().toString();
            default -> value.toString();
        };
    }

    private Long version(RowData row) {
        if (version == null) {
            return null;
        }
        Object value = version.getFieldOrNull(row);
        if (value == null) {
            throw new IllegalArgumentException("A row for Elasticsearch has NULL in its version column, so nothing"
                    + " says whether it is newer than what is stored: COALESCE the column before the INSERT.");
        }
        return value instanceof TimestampData time ? (Long) time.getMillisecond() : (Long) value;
    }
}
