package usher.events;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.Set;

/**
 * Reads a Segment-spec message in one streaming pass, keeping only what the job needs. The contract it checks is
 * {@code conf/event.schema.json}; whatever breaks it leaves as {@link Refused}.
 */
final class EventReader {
    static final int MAX_MESSAGE_BYTES = 32 * 1024; // Segment's own limit for one message
    static final int MAX_ID_BYTES = 512; // Elasticsearch's limit for an _id
    static final int MAX_TEXT = 2048;
    static final long EARLIEST = Instant.parse("1990-01-01T00:00:00Z").toEpochMilli();
    static final long HOUR = 3_600_000L;
    private static final Set<String> TYPES = Set.of("track", "identify", "page", "screen", "alias", "group");
    private static final JsonFactory JSON = new JsonFactory();

    private EventReader() {}

    static Event read(byte[] value, long recordTime, long now, Consent policy) {
        Event event = parse(value, recordTime, now, policy);
        check(event);
        event.happenedAt = happenedAt(event, recordTime, now);
        return event;
    }

    /** A wish to be erased: {@code {"userId": "ann", "requestedAt": "2026-01-31T09:30:00Z"}}. */
    static Event readErasure(byte[] value, long recordTime, long now) {
        Event wish = parse(value, recordTime, now, null);
        if (wish.userId == null || wish.requestedAt == null) {
            throw new Refused("invalid_control", "An erasure must name its userId and requestedAt.");
        }
        wish.happenedAt = instant(wish.requestedAt, "requestedAt");
        if (wish.happenedAt < EARLIEST || wish.happenedAt > now + HOUR) {
            throw new Refused("invalid_control", "requestedAt must lie between 1990-01-01 and one hour from now.");
        }
        return wish;
    }

    private static Event parse(byte[] value, long recordTime, long now, Consent policy) {
        if (value == null || value.length == 0) {
            throw new Refused("empty", "The record has no value; send one JSON object per record.");
        }
        if (value.length > MAX_MESSAGE_BYTES) {
            throw new Refused("too_large", "The message has " + value.length + " bytes; the limit is "
                    + MAX_MESSAGE_BYTES + ". Send less in properties or traits.");
        }
        if (recordTime > now + HOUR || recordTime < 0) {
            throw new Refused("record_time_out_of_range", "The Kafka record's own timestamp " + recordTime
                    + " is negative or over an hour ahead; correct the producer's clock.");
        }
        Event event = new Event();
        try (JsonParser json = JSON.createParser(value)) {
            if (json.nextToken() != JsonToken.START_OBJECT) {
                throw new Refused("not_an_object", "The value is not a JSON object; send one message per record.");
            }
            message(json, event, policy);
            if (json.nextToken() != null) {
                throw new Refused("invalid_json", "There is text after the JSON object; send one message per record.");
            }
        } catch (JsonProcessingException e) {
            String where = e.getLocation() == null ? "" : " at byte " + e.getLocation().getByteOffset();
            throw new Refused("invalid_json", "The value is not valid JSON" + where + ".");
        } catch (IOException e) { // malformed UTF-8, for one
            throw new Refused("invalid_json", "The value is not valid UTF-8 JSON.");
        }
        return event;
    }

    private static void message(JsonParser json, Event event, Consent policy) throws IOException {
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String name = json.currentName();
            json.nextToken();
            switch (name) {
                case "messageId" -> event.messageId = text(json, name);
                case "type" -> event.type = text(json, name);
                case "event" -> event.event = text(json, name);
                case "userId" -> event.userId = text(json, name);
                case "anonymousId" -> event.anonymousId = text(json, name);
                case "timestamp" -> event.timestamp = text(json, name);
                case "originalTimestamp" -> event.originalTimestamp = text(json, name);
                case "sentAt" -> event.sentAt = text(json, name);
                case "receivedAt" -> event.receivedAt = text(json, name);
                case "properties" -> properties(json, event);
                case "context" -> context(json, event, policy);
                case "previousId" -> event.previousId = text(json, name);
                case "requestedAt" -> event.requestedAt = text(json, name);
                case "traits" -> {
                    object(json, name);
                    json.skipChildren();
                }
                default -> json.skipChildren();
            }
        }
    }

    private static void properties(JsonParser json, Event event) throws IOException {
        if (!object(json, "properties")) {
            return;
        }
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String name = json.currentName();
            json.nextToken();
            switch (name) {
                case "feature" -> event.feature = scalar(json, "properties.feature");
                case "step" -> event.step = scalar(json, "properties.step");
                case "content_id" -> event.contentId = scalar(json, "properties.content_id");
                case "slot", "decision_id", "variation" -> scalar(json, "properties." + name);
                default -> json.skipChildren();
            }
        }
    }

    private static void context(JsonParser json, Event event, Consent policy) throws IOException {
        if (!object(json, "context")) {
            return;
        }
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String name = json.currentName();
            json.nextToken();
            switch (name) {
                case "ip" -> event.ip = text(json, "context.ip");
                case "userAgent" -> event.userAgent = text(json, "context.userAgent");
                case "locale" -> event.locale = text(json, "context.locale");
                case "consent" -> consent(json, event, policy);
                default -> json.skipChildren();
            }
        }
    }

    private static void consent(JsonParser json, Event event, Consent policy) throws IOException {
        if (!object(json, "context.consent")) {
            return;
        }
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String name = json.currentName();
            json.nextToken();
            if (name.equals("categoryPreferences") && object(json, "context.consent.categoryPreferences")) {
                event.consent = categories(json, event, policy);
            } else {
                json.skipChildren();
            }
        }
    }

    /** The categories as compact JSON; each is true or false, as Segment's consent spec has it. */
    private static String categories(JsonParser json, Event event, Consent policy) throws IOException {
        StringBuilder found = new StringBuilder("{");
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String category = json.currentName();
            if (!json.nextToken().isBoolean()) {
                throw new Refused("wrong_type", "context.consent.categoryPreferences must say true or false of each"
                        + " category, not " + kind(json) + ".");
            }
            if (policy != null && category.equals(policy.category())) {
                event.agreed = json.getBooleanValue();
            }
            found.append(found.length() == 1 ? "\"" : ",\"");
            found.append(JsonStringEncoder.getInstance().quoteAsString(category));
            found.append("\":").append(json.getBooleanValue());
        }
        if (found.length() >= MAX_TEXT) {
            throw new Refused("too_long", "context.consent.categoryPreferences has more than " + MAX_TEXT
                    + " characters; name fewer categories.");
        }
        return found.append('}').toString();
    }

    /** True if there is an object to read, false if there is null; anything else is refused. */
    private static boolean object(JsonParser json, String name) {
        if (json.currentToken() == JsonToken.VALUE_NULL) {
            return false;
        }
        if (json.currentToken() != JsonToken.START_OBJECT) {
            throw new Refused("wrong_type", name + " must be an object, not " + kind(json) + ".");
        }
        return true;
    }

    private static String text(JsonParser json, String name) throws IOException {
        if (json.currentToken() == JsonToken.VALUE_NULL) {
            return null;
        }
        if (json.currentToken() != JsonToken.VALUE_STRING) {
            throw new Refused("wrong_type", name + " must be a string, not " + kind(json) + ".");
        }
        String value = json.getText();
        if (value.length() > MAX_TEXT) {
            throw new Refused("too_long", name + " has " + value.length() + " characters; the limit is " + MAX_TEXT + ".");
        }
        return value.isEmpty() ? null : value;
    }

    /** Text, or a number or boolean as its text: `step: 2` is common in the wild. */
    private static String scalar(JsonParser json, String name) throws IOException {
        if (json.currentToken().isNumeric() || json.currentToken().isBoolean()) {
            return json.getText();
        }
        return text(json, name);
    }

    private static String kind(JsonParser json) {
        return switch (json.currentToken()) {
            case START_OBJECT -> "an object";
            case START_ARRAY -> "an array";
            case VALUE_STRING -> "a string";
            case VALUE_TRUE, VALUE_FALSE -> "a boolean";
            default -> "a number";
        };
    }

    private static void check(Event event) {
        if (event.messageId == null) {
            throw new Refused("missing_message_id", "messageId is missing; it is what duplicates are found by.");
        }
        if (event.userKey() == null) {
            throw new Refused("missing_user", "Both userId and anonymousId are missing; one of them must name the user.");
        }
        for (String id : new String[] {event.messageId, event.userKey(), event.previousId, event.anonymousId}) {
            if (id != null && id.length() * 3 > MAX_ID_BYTES && id.getBytes(StandardCharsets.UTF_8).length > MAX_ID_BYTES) {
                throw new Refused("too_long", "An id is longer than " + MAX_ID_BYTES + " bytes.");
            }
        }
        if (event.type == null || !TYPES.contains(event.type)) {
            throw new Refused("unknown_type", "type must be one of track, identify, page, screen, alias, group.");
        }
        if (event.type.equals("track") && event.event == null) {
            throw new Refused("missing_event", "A track message must name its event.");
        }
    }

    /**
     * When the user did it. A clock that is wrong on the device is corrected as Segment does: receivedAt - (sentAt -
     * timestamp), unless originalTimestamp shows that it was done already.
     */
    private static long happenedAt(Event event, long recordTime, long now) {
        long received = event.receivedAt == null ? recordTime : instant(event.receivedAt, "receivedAt");
        long happened = event.timestamp == null ? received : instant(event.timestamp, "timestamp");
        if (event.sentAt != null && event.receivedAt != null && event.timestamp != null && event.originalTimestamp == null) {
            happened = received - (instant(event.sentAt, "sentAt") - happened);
        }
        if (happened < EARLIEST || happened > now + HOUR) {
            throw new Refused("timestamp_out_of_range",
                    "timestamp must lie between 1990-01-01 and one hour from now; correct the device's clock or send sentAt.");
        }
        return happened;
    }

    private static long instant(String text, String name) {
        long millis = Timestamps.utc(text);
        if (millis != Timestamps.OTHER) {
            return millis;
        }
        try {
            return Timestamps.iso(text);
        } catch (DateTimeException | ArithmeticException e) {
            throw new Refused("invalid_timestamp", name + " is not an ISO-8601 time such as 2026-01-31T09:30:00.000Z.");
        }
    }
}
