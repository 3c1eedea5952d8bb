package usher.events;

import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.core.memory.MemorySegmentFactory;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.data.binary.BinarySegmentUtils;
import org.apache.flink.table.data.utils.JoinedRowData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ProcessTableFunction;

/**
 * Gives each parsed record its verdict: accepted, duplicate (its messageId was accepted less than an hour of window
 * time ago), late or quarantined. It equals SQL's ROW_NUMBER() over message ids, at a third of the cost (docs/speed.md).
 *
 * <p>Late is a record that its own partition left behind: by more than is allowed, of which its {@code reason} tells, and
 * its tile has been closed for as long. Any other whose tile is closed waits for the next watermark and counts in the
 * tile of that moment: Kafka was restarted, or a partition's leader moved, and until the source had found it again the
 * other partitions and the clock carried time on, in a backlog by hours. Only its window time changes, neither
 * {@code happened_at} nor {@code record_ms}.
 */
@FunctionHint(output = @DataTypeHint(value = AdmitEvents.ADMITTED, bridgedTo = RowData.class))
public class AdmitEvents extends ProcessTableFunction<RowData> {
    private static final String COLUMNS =
            "message_id STRING, user_key STRING, error_code STRING, reason STRING, type STRING, "
                    + "event STRING, action STRING, happened_at BIGINT, ip STRING, user_agent STRING, "
                    + "locale STRING, consent STRING, record_ms BIGINT, previous_id STRING, `value` BYTES, "
                    + "`partition` INT, `offset` BIGINT";
    private static final String RECORD = "ROW<bucket INT, " + COLUMNS + ", record_time TIMESTAMP_LTZ(3)>";
    /** The record as it came: Flink adds bucket and window time itself, but a row without them takes longer to read. */
    static final String ADMITTED =
            "ROW<parsed_bucket INT, " + COLUMNS + ", parsed_time TIMESTAMP_LTZ(3), verdict STRING>";
    private static final int ARITY = 19;
    private static final int MESSAGE_ID = 1;
    private static final int ERROR_CODE = 3;
    private static final int REASON = 4;
    private static final int PARTITION = 16;
    private static final int OFFSET = 17;
    private static final StringData CLOCK = StringData.fromString("clock");
    private static final RowData ACCEPTED = verdict("accepted");
    private static final RowData DUPLICATE = verdict("duplicate");
    private static final RowData LATE = verdict("late");
    private static final RowData QUARANTINED = verdict("quarantined");
    private static final StringData ERASURE = StringData.fromString(Event.ERASURE);
    /** {@link SeenIds} forgets by itself. */
    private static final String NO_TTL = "0 s";
    /** A map of one entry: of a value, Flink computes a hash code before and after each call. */
    private static final Integer ONLY = 0;
    private transient SeenIds seenIds;
    private transient Counter accepted;
    private transient Counter duplicate;
    private transient Counter overdue;
    private transient Counter late;
    private transient Map<String, Counter> quarantined;
    private transient MetricGroup metrics;
    private transient JoinedRowData row;

    @Override
    public void open(FunctionContext context) {
        seenIds = new SeenIds();
        metrics = context.getMetricGroup().addGroup("usher");
        accepted = metrics.counter("accepted");
        duplicate = metrics.counter("duplicate");
        overdue = metrics.counter("overdue");
        late = metrics.counter("late");
        quarantined = new HashMap<>();
        row = new JoinedRowData();
    }

    public void eval(
            Context context,
            @StateHint(ttl = NO_TTL) MapView<Integer, byte[]> seen,
            @StateHint(ttl = NO_TTL) MapView<Long, byte[]> waiting,
            @ArgumentHint(
                            value = {SET_SEMANTIC_TABLE, REQUIRE_ON_TIME},
                            type = @DataTypeHint(value = RECORD, bridgedTo = RowData.class))
                    RowData record,
            Integer tileMs,
            Long allowedLatenessMs)
            throws Exception {
        if (!record.isNullAt(ERROR_CODE)) {
            StringData code = record.getString(ERROR_CODE);
            if (CLOCK.equals(code) || ERASURE.equals(code)) {
                collect(record, GenericRowData.of(code));
            } else {
                verdict(record, QUARANTINED, quarantined.computeIfAbsent(code.toString(),
                        name -> metrics.addGroup("code", name).counter("quarantined")));
            }
            return;
        }
        TimeContext<Long> time = context.timeContext(Long.class);
        long now = time.time();
        Long watermark = time.currentWatermark();
        long tileEnd = now - Math.floorMod(now, (long) tileMs) + tileMs;
        boolean closed = watermark != null && tileEnd - 1 <= watermark;
        if (closed && tileEnd - 1 <= watermark - allowedLatenessMs && !record.isNullAt(REASON)) {
            verdict(record, LATE, late);
            return;
        }
        byte[] id = record.getString(MESSAGE_ID).toBytes();
        long counts = closed ? watermark + 1 : now;
        byte[] ids = seenIds.with(seen.get(ONLY), id, counts, watermark == null ? 0 : watermark);
        if (ids == null) {
            verdict(record, DUPLICATE, duplicate);
            return;
        }
        seen.put(ONLY, ids);
        if (closed) {
            waiting.put(position(record), bytes((BinaryRowData) record));
            time.registerOnTime(counts);
        } else {
            verdict(record, ACCEPTED, accepted);
        }
    }

    /** Those that waited count now: the watermark that lets them go comes after them, so that the tile is still open. */
    public void onTimer(OnTimerContext context, MapView<Integer, byte[]> seen, MapView<Long, byte[]> waiting)
            throws Exception {
        for (Map.Entry<Long, byte[]> record : waiting.entries()) {
            overdue.inc();
            verdict(record(record.getValue()), ACCEPTED, accepted);
        }
        waiting.clear();
    }

    private void verdict(RowData record, RowData verdict, Counter counter) {
        counter.inc();
        collect(record, verdict);
    }

    private void collect(RowData record, RowData verdict) {
        collect(row.replace(record, verdict));
    }

    private static RowData verdict(String verdict) {
        return GenericRowData.of(StringData.fromString(verdict));
    }

    /** Where the record is in Kafka, as one number. */
    private static long position(RowData record) {
        return record.getLong(OFFSET) << Short.SIZE | record.getInt(PARTITION);
    }

    private static byte[] bytes(BinaryRowData record) {
        return BinarySegmentUtils.copyToBytes(record.getSegments(), record.getOffset(), record.getSizeInBytes());
    }

    private static RowData record(byte[] bytes) {
        BinaryRowData record = new BinaryRowData(ARITY);
        record.pointTo(MemorySegmentFactory.wrap(bytes), 0, bytes.length);
        return record;
    }
}
