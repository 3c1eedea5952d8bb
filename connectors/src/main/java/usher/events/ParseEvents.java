package usher.events;

import static org.apache.flink.table.annotation.ArgumentTrait.PASS_COLUMNS_THROUGH;
import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.ROW_SEMANTIC_TABLE;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ProcessTableFunction;

/**
 * parse_events(TABLE events, 'category', 'opt_out', 300000, DESCRIPTOR(record_time)): one row for each Kafka record, whatever it holds. A
 * record that breaks the contract has an error_code and a reason, and no other column but its bucket; one that is further
 * behind its partition's newest than is allowed has a reason alone ({@link AdmitEvents}). A ProcessTableFunction and not a
 * LATERAL TableFunction, which Flink would run once for each INSERT.
 */
@FunctionHint(output = @DataTypeHint(value = Event.COLUMNS, bridgedTo = RowData.class))
public class ParseEvents extends ProcessTableFunction<RowData> {
    /** Duplicates are looked for within a bucket of message ids: at 2,000 events a second 110 of them in an hour. */
    static final int BUCKETS = 65_536;

    private static final int PARTITION = 2;
    private static final int HEADERS = 4;
    private static final StringData CONTROL = StringData.fromString("usher-control");
    private static final byte[] ERASE = "erase".getBytes(StandardCharsets.UTF_8);

    private transient Progress progress;

    @Override
    public void open(FunctionContext context) {
        progress = new Progress();
    }

    public void eval(
            Context context,
            @ArgumentHint(
                            value = {ROW_SEMANTIC_TABLE, REQUIRE_ON_TIME, PASS_COLUMNS_THROUGH},
                            type =
                                    @DataTypeHint(
                                            value = "ROW<`value` BYTES, record_time TIMESTAMP_LTZ(3), `partition` INT, "
                                                    + "`offset` BIGINT, headers MAP<STRING, BYTES>>",
                                            bridgedTo = RowData.class))
                    RowData record,
            String consentCategory,
            String consentMode,
            Long allowedLatenessMs) {
        long time = record.getTimestamp(1, 3).getMillisecond();
        long now = System.currentTimeMillis();
        long behind = progress.behind(record.getInt(PARTITION), time, now);
        byte[] value = record.isNullAt(0) ? null : record.getBinary(0);
        try {
            if (isErasure(record)) {
                Event wish = EventReader.readErasure(value, time, now);
                collect(Event.erasure(Math.floorMod(wish.userId.hashCode(), BUCKETS), wish, time));
                return;
            }
            Consent policy = new Consent(consentCategory, consentMode.equals(Consent.OPT_IN));
            Event event = EventReader.read(value, time, now, policy);
            String reason = behind > allowedLatenessMs ? behind(behind) : null;
            collect(event.row(Math.floorMod(event.messageId.hashCode(), BUCKETS), reason, time, policy));
        } catch (Refused refused) {
            collect(Event.refused((int) Math.floorMod(time, (long) BUCKETS), refused.code, refused.getMessage()));
        }
    }

    private static String behind(long millis) {
        return "The record is " + millis / 1000 + " s behind the newest of its partition, and its window was closed.";
    }

    /** Whether the record has the header {@code usher-control: erase}. */
    private static boolean isErasure(RowData record) {
        if (record.isNullAt(HEADERS) || record.getMap(HEADERS).size() == 0) {
            return false;
        }
        MapData headers = record.getMap(HEADERS);
        for (int i = 0; i < headers.size(); i++) {
            if (CONTROL.equals(headers.keyArray().getString(i)) && !headers.valueArray().isNullAt(i)) {
                return Arrays.equals(ERASE, headers.valueArray().getBinary(i));
            }
        }
        return false;
    }
}
