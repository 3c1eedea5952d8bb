package usher.events;

import java.time.Instant;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.TableFunction;

/**
 * LATERAL TABLE(parse_events(value, record_time)): one row for each Kafka record, whatever it holds. A record that
 * breaks the contract has an error_code and a reason, and no other column but its bucket.
 */
@FunctionHint(output = @DataTypeHint(value = Event.COLUMNS, bridgedTo = RowData.class))
public class ParseEvents extends TableFunction<RowData> {
    /** Duplicates are looked for within a bucket of message ids: few keys with much state, for cheap clean-up. */
    static final int BUCKETS = 4096;

    public void eval(byte[] value, @DataTypeHint("TIMESTAMP_LTZ(3)") Instant recordTime) {
        long time = recordTime.toEpochMilli();
        try {
            Event event = EventReader.read(value, time, System.currentTimeMillis());
            collect(event.row(Math.floorMod(event.messageId.hashCode(), BUCKETS), time));
        } catch (Refused refused) {
            collect(Event.refused((int) Math.floorMod(time, (long) BUCKETS), refused.code, refused.getMessage()));
        }
    }

    @Override
    public boolean isDeterministic() {
        return false; // it reads the clock; and it must not be evaluated once per column
    }
}
