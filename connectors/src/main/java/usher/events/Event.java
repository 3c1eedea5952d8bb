package usher.events;

import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;

/** What one Kafka record says, before it becomes a row: either a message's columns or why it was refused. */
final class Event {
    /** The columns of {@link ParseEvents}, in order; {@link #row} follows it. */
    static final String COLUMNS =
            "ROW<bucket INT NOT NULL, message_id STRING, user_key STRING, error_code STRING, reason STRING, "
                    + "type STRING, event STRING, feature STRING, happened_at BIGINT, "
                    + "ip STRING, user_agent STRING, locale STRING, record_ms BIGINT>";

    String messageId;
    String type;
    String event;
    String userId;
    String anonymousId;
    String timestamp;
    String originalTimestamp;
    String sentAt;
    String receivedAt;
    String feature;
    String ip;
    String userAgent;
    String locale;
    long happenedAt;

    String userKey() {
        return userId != null ? userId : anonymousId;
    }

    GenericRowData row(int bucket, long recordTime) {
        GenericRowData row = refused(bucket, null, null);
        row.setField(1, StringData.fromString(messageId));
        row.setField(2, StringData.fromString(userKey()));
        row.setField(5, StringData.fromString(type));
        row.setField(6, StringData.fromString(event));
        row.setField(7, StringData.fromString(feature));
        row.setField(8, happenedAt);
        row.setField(9, dated(recordTime, ip));
        row.setField(10, dated(recordTime, userAgent));
        row.setField(11, dated(recordTime, locale));
        row.setField(12, recordTime);
        return row;
    }

    static GenericRowData refused(int bucket, String code, String reason) {
        GenericRowData row = new GenericRowData(13);
        row.setField(0, bucket);
        row.setField(3, StringData.fromString(code));
        row.setField(4, StringData.fromString(reason));
        return row;
    }

    /** Thirteen digits of time before the value: so that SQL's MAX, which merges, finds the latest one. */
    private static StringData dated(long recordTime, String value) {
        if (value == null) {
            return null;
        }
        String digits = Long.toString(Math.max(0, recordTime));
        return StringData.fromString("0".repeat(Math.max(0, 13 - digits.length())) + digits + value);
    }
}
