package usher.events;

import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;

/** What one Kafka record says, before it becomes a row: either a message's columns or why it was refused. */
final class Event {
    /** The columns of {@link ParseEvents}, in order; {@link #row} follows it. */
    static final String COLUMNS =
            "ROW<bucket INT NOT NULL, message_id STRING, user_key STRING, error_code STRING, reason STRING, "
                    + "type STRING, event STRING, action STRING, happened_at BIGINT, "
                    + "ip STRING, user_agent STRING, locale STRING, consent STRING, record_ms BIGINT, "
                    + "previous_id STRING>";

    /** Between the name of an event and what it was done to. */
    static final char DETAIL = '|';
    /** Between the actions of a tile. */
    static final char NEXT = '\u001f';

    /** Before NO in the alphabet: of two statements of one millisecond the no counts. */
    static final char YES = 'a';
    static final char NO = 'n';
    static final String ERASURE = "erasure";

    String messageId;
    String type;
    String event;
    String userId;
    String anonymousId;
    String timestamp;
    String originalTimestamp;
    String sentAt;
    String receivedAt;
    String requestedAt;
    String feature;
    String step;
    String contentId;
    String ip;
    String userAgent;
    String locale;
    String previousId;
    /** context.consent.categoryPreferences as compact JSON. */
    String consent;
    /** What it says of the category that counts: null for nothing. */
    Boolean agreed;
    long happenedAt;

    String userKey() {
        return userId != null ? userId : anonymousId;
    }

    /**
     * What a `track` did to what, as {@code Feature Used|reports}: the event, then its feature, step or content. It must
     * not hold the separators itself.
     */
    String action() {
        if (!"track".equals(type)) {
            return null;
        }
        String detail = feature != null ? feature : step != null ? step : contentId;
        String name = event.indexOf(DETAIL) < 0 ? event : event.replace(DETAIL, ' ');
        String action = detail == null ? name + DETAIL : name + DETAIL + detail;
        return action.indexOf(NEXT) < 0 ? action : action.replace(NEXT, ' ');
    }

    /** The id that is said to be the user's as well, or null. */
    private String otherId() {
        if (userId == null || !"identify".equals(type) && !"alias".equals(type)) {
            return null;
        }
        String other = "alias".equals(type) && previousId != null ? previousId : anonymousId;
        return userId.equals(other) ? null : other;
    }

    /** Without consent a message is counted, and nothing in it is passed on but whose it is and what they said. */
    GenericRowData row(int bucket, String reason, long recordTime, Consent policy) {
        GenericRowData row = refused(bucket, null, reason);
        row.setField(1, StringData.fromString(messageId));
        row.setField(2, StringData.fromString(userKey()));
        if (consent != null) {
            row.setField(12, StringData.fromString(statement(happenedAt, policy.allows(agreed), consent)));
        }
        if (!policy.allows(agreed)) {
            return row;
        }
        row.setField(5, StringData.fromString(type));
        row.setField(6, StringData.fromString(event));
        row.setField(7, StringData.fromString(action()));
        row.setField(8, happenedAt);
        row.setField(9, dated(recordTime, ip));
        row.setField(10, dated(recordTime, userAgent));
        row.setField(11, dated(recordTime, locale));
        row.setField(13, recordTime);
        row.setField(14, StringData.fromString(otherId()));
        return row;
    }

    static GenericRowData refused(int bucket, String code, String reason) {
        GenericRowData row = new GenericRowData(15);
        row.setField(0, bucket);
        row.setField(3, StringData.fromString(code));
        row.setField(4, StringData.fromString(reason));
        return row;
    }

    /** Thirteen digits of time before the value: so that SQL's MAX, which merges, finds the latest one. */
    private static StringData dated(long time, String value) {
        if (value == null) {
            return null;
        }
        return StringData.fromString(digits(time) + value);
    }

    /** A statement of consent as it is kept: the later one compares greater. */
    static String statement(long time, boolean yes, String categories) {
        return digits(time) + (yes ? YES : NO) + categories;
    }

    private static String digits(long time) {
        String digits = Long.toString(Math.max(0, time));
        return "0".repeat(Math.max(0, 13 - digits.length())) + digits;
    }

    /** The row of a wish to be erased: it passes by the counting of events, as the clock does. */
    static GenericRowData erasure(int bucket, Event wish, long recordTime) {
        GenericRowData row = refused(bucket, ERASURE, null);
        row.setField(2, StringData.fromString(wish.userId));
        row.setField(8, wish.happenedAt);
        row.setField(13, recordTime);
        return row;
    }
}
