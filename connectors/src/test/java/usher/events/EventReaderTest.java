package usher.events;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Instant;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What a message says, and by which code it is refused when it breaks the contract. */
class EventReaderTest {
    private static final long NOW = Instant.parse("2025-01-31T09:30:00Z").toEpochMilli();
    private static final Consent POLICY = new Consent("ads", false);
    private static final String PAGE = "'messageId':'m','userId':'ann','type':'page'";

    static Stream<Arguments> refused() {
        return Stream.of(
                Arguments.of("empty", ""),
                Arguments.of("too_large", " ".repeat(EventReader.MAX_MESSAGE_BYTES) + "{}"),
                Arguments.of("not_an_object", "[]"),
                Arguments.of("not_an_object", "1"),
                Arguments.of("not_an_object", "null"),
                Arguments.of("not_an_object", "  "),
                Arguments.of("invalid_json", "{"),
                Arguments.of("invalid_json", "nonsense"),
                Arguments.of("invalid_json", page("'type'")),
                Arguments.of("invalid_json", page("'context':{'ip':'1.2.3.4'")),
                Arguments.of("invalid_json", page("'x':NaN")),
                Arguments.of("invalid_json", page("") + page("")),
                Arguments.of("invalid_json", page("'x':" + "[".repeat(5000) + "]".repeat(5000))),
                Arguments.of("invalid_json", page("'properties':" + "{'a':".repeat(5000) + "1" + "}".repeat(5000))),
                Arguments.of("wrong_type", page("'event':1")),
                Arguments.of("wrong_type", page("'timestamp':1738315800000")),
                Arguments.of("wrong_type", page("'userId':{}")),
                Arguments.of("wrong_type", page("'properties':[]")),
                Arguments.of("wrong_type", page("'traits':'x'")),
                Arguments.of("wrong_type", page("'context':{'ip':1}")),
                Arguments.of("wrong_type", page("'properties':{'feature':[]}")),
                Arguments.of("wrong_type", page("'context':{'consent':{'categoryPreferences':{'ads':'no'}}}")),
                Arguments.of("wrong_type", page("'context':{'consent':{'categoryPreferences':[true]}}")),
                Arguments.of("too_long", page("'context':{'consent':{'categoryPreferences':{'" + "x".repeat(2048) + "':true}}}")),
                Arguments.of("too_long", page("'event':'" + "x".repeat(EventReader.MAX_TEXT + 1) + "'")),
                Arguments.of("too_long", page("'messageId':'" + "x".repeat(513) + "'")),
                Arguments.of("too_long", page("'userId':'" + "é".repeat(257) + "'")),
                Arguments.of("too_long", "{'messageId':'m','type':'page','anonymousId':'" + "x".repeat(513) + "'}"),
                Arguments.of("missing_message_id", "{'userId':'ann','type':'page'}"),
                Arguments.of("missing_message_id", page("'messageId':''")),
                Arguments.of("missing_user", "{'messageId':'m','type':'page'}"),
                Arguments.of("missing_user", page("'userId':null")),
                Arguments.of("unknown_type", page("'type':'Page'")),
                Arguments.of("unknown_type", "{'messageId':'m','userId':'ann'}"),
                Arguments.of("missing_event", page("'type':'track'")),
                Arguments.of("invalid_timestamp", page("'timestamp':'yesterday'")),
                Arguments.of("invalid_timestamp", page("'timestamp':'2025-02-30T00:00:00Z'")),
                Arguments.of("invalid_timestamp", page("'timestamp':'2025-01-31'")),
                Arguments.of("invalid_timestamp", page("'timestamp':'+999999999-01-01T00:00:00Z'")),
                Arguments.of("invalid_timestamp", page("'receivedAt':'x'")),
                Arguments.of("timestamp_out_of_range", page("'timestamp':'1989-12-31T23:59:59.999Z'")),
                Arguments.of("timestamp_out_of_range", page("'timestamp':'2025-01-31T10:30:00.001Z'")));
    }

    @ParameterizedTest
    @MethodSource
    void refused(String code, String message) {
        Refused refused = assertThrows(Refused.class, () -> read(message));
        assertEquals(code, refused.code);
        assertTrue(refused.getMessage().endsWith("."), refused.getMessage());
    }

    @Test
    void aTombstoneIsRefused() {
        assertEquals("empty", assertThrows(Refused.class, () -> EventReader.read(null, NOW, NOW, POLICY)).code);
    }

    @Test
    void malformedUtf8IsRefused() {
        byte[] latin1 = "{\"userId\":\"Zoé\"}".getBytes(java.nio.charset.StandardCharsets.ISO_8859_1);
        assertEquals("invalid_json", assertThrows(Refused.class, () -> EventReader.read(latin1, NOW, NOW, POLICY)).code);
    }

    @Test
    void aRecordsOwnTimeIsAtMostAnHourAhead() {
        byte[] value = page("").replace('\'', '"').getBytes(UTF_8);
        for (long time : new long[] {-1, NOW + EventReader.HOUR + 1}) {
            assertEquals(
                    "record_time_out_of_range",
                    assertThrows(Refused.class, () -> EventReader.read(value, time, NOW, POLICY)).code);
        }
        assertEquals(NOW + EventReader.HOUR, EventReader.read(value, NOW + EventReader.HOUR, NOW, POLICY).happenedAt);
    }

    @Test
    void theColumnsOfAMessage() {
        Event event = read(page("'type':'track','event':'Feature Used','anonymousId':'x',"
                + "'properties':{'feature':'reports','url':{'deep':[1]}},'other':[{}],"
                + "'context':{'ip':'1.2.3.4','userAgent':'curl','locale':'de-CH','page':{'ip':5}}"));
        assertEquals("m", event.messageId);
        assertEquals("track", event.type);
        assertEquals("Feature Used", event.event);
        assertEquals("ann", event.userKey());
        assertEquals("reports", event.feature);
        assertEquals("1.2.3.4", event.ip);
        assertEquals("curl", event.userAgent);
        assertEquals("de-CH", event.locale);
        assertEquals(NOW, event.happenedAt, "without a timestamp it happened when the record was written");
    }

    @Test
    void nullMeansAbsent() {
        Event event = read(page("'properties':null,'context':null,'traits':null,'timestamp':null,'event':null"));
        assertNull(event.event);
        assertEquals("x", read(page("'userId':'','anonymousId':'x'")).userKey());
    }

    @Test
    void aStepOrFeatureMayBeANumber() {
        assertEquals("ann", read(page("'properties':{'step':2,'slot':true,'variation':1.5}")).userKey());
        assertEquals("7", read(page("'properties':{'feature':7}")).feature);
    }

    @Test
    void consentIsKeptAsCompactJson() {
        assertEquals(
                "{\"ads\":false,\"a\\\"b\":true}",
                read(page("'context':{'consent':{'x':{},'categoryPreferences':{'ads': false , 'a\\\"b':true}}}")).consent);
        assertEquals("{}", read(page("'context':{'consent':{'categoryPreferences':{}}}")).consent);
        assertNull(read(page("'context':{'consent':{'categoryPreferences':null}}")).consent);
        assertNull(read(page("'context':{'consent':null}")).consent);
    }

    @Test
    void anActionIsAnEventAndWhatItWasDoneTo() {
        assertEquals("Feature Used|reports", action("Feature Used", "'feature':'reports','step':'s'"));
        assertEquals("Step|s", action("Step", "'step':'s','content_id':'c'"));
        assertEquals("Shown|c|d", action("Shown", "'content_id':'c|d'"));
        assertEquals("a b|", action("a|b", ""));
        assertEquals("a b|c d", action("a\\u001fb", "'feature':'c\\u001fd'"));
        assertNull(read(page("'properties':{'feature':'reports'}")).action());
    }

    private static String action(String event, String properties) {
        return read(page("'type':'track','event':'" + event + "','properties':{" + properties + "}")).action();
    }

    @Test
    void identifyAndAliasNameAnotherId() {
        String both = "'anonymousId':'web'";
        assertEquals("web", otherId(page(both + ",'type':'identify'")));
        assertEquals("old", otherId(page(both + ",'type':'alias','previousId':'old'")));
        assertEquals("web", otherId(page(both + ",'type':'alias'")));
        assertNull(otherId(page(both + ",'type':'track','event':'e'")), "a track links nothing");
        assertNull(otherId(page("'anonymousId':'ann','type':'identify'")), "not to itself");
        assertNull(otherId(page(both + ",'type':'identify','userId':null")), "not to nobody");
        assertNull(otherId(page(both + ",'type':'identify'," + ads(false))), "not without consent");
    }

    private static String otherId(String message) {
        var row = read(message).row(0, null, NOW, POLICY);
        return row.isNullAt(14) ? null : row.getString(14).toString();
    }

    private static String ads(boolean agreed) {
        return "'context':{'ip':'1.2.3.4','consent':{'categoryPreferences':{'ads':" + agreed + ",'other':true}}}";
    }

    @Test
    void withoutConsentOnlyWhoseItIsAndWhatTheySaidGoesOn() {
        var row = read(page(ads(false))).row(0, null, NOW, POLICY);
        assertEquals("ann", row.getString(2).toString());
        assertEquals(NOW + "n{\"ads\":false,\"other\":true}", row.getString(12).toString());
        for (int column : new int[] {5, 6, 7, 8, 9, 10, 11, 13, 14}) {
            assertTrue(row.isNullAt(column), "column " + column);
        }
        assertEquals('a', read(page(ads(true))).row(0, null, NOW, POLICY).getString(12).toString().charAt(13));
    }

    @Test
    void silenceIsAsTheModeSays() {
        assertTrue(new Consent("ads", false).allows(null));
        assertTrue(!new Consent("ads", true).allows(null));
        assertTrue(read(page("")).row(0, null, NOW, new Consent("ads", true)).isNullAt(5));
        assertEquals("page", read(page("")).row(0, null, NOW, POLICY).getString(5).toString());
    }

    @Test
    void aWishToBeErasedNamesWhoAndWhen() {
        Event wish = erasure("{'userId':'ann','requestedAt':'2025-01-31T09:00:00Z'}");
        assertEquals("ann", wish.userId);
        assertEquals(NOW - 1_800_000, wish.happenedAt);
        for (String bad : new String[] {"{'userId':'ann'}", "{'requestedAt':'2025-01-31T09:00:00Z'}",
            "{'userId':'ann','requestedAt':'2025-01-31T10:30:00.001Z'}"}) {
            assertEquals("invalid_control", assertThrows(Refused.class, () -> erasure(bad)).code);
        }
    }

    private static Event erasure(String wish) {
        return EventReader.readErasure(wish.replace('\'', '"').getBytes(UTF_8), NOW, NOW);
    }

    @Test
    void idsOfExactly512Bytes() {
        assertEquals(256, read(page("'userId':'" + "é".repeat(256) + "'")).userKey().length());
        assertEquals(512, read(page("'messageId':'" + "x".repeat(512) + "'")).messageId.length());
    }

    @Test
    void sentAtCorrectsTheDevicesClock() {
        // the device is an hour ahead: it sent now, and saw the event 10 s before that
        String late = "'timestamp':'2025-01-31T10:29:50Z','sentAt':'2025-01-31T10:30:00Z','receivedAt':'2025-01-31T09:30:00Z'";
        assertEquals(NOW - 10_000, read(page(late)).happenedAt);
    }

    @Test
    void originalTimestampShowsThatItWasCorrected() {
        String done = "'timestamp':'2025-01-31T09:29:50Z','originalTimestamp':'2025-01-31T10:29:50Z',"
                + "'sentAt':'2025-01-31T10:30:00Z','receivedAt':'2025-01-31T09:30:00Z'";
        assertEquals(NOW - 10_000, read(page(done)).happenedAt);
    }

    @Test
    void timesWithAndWithoutOffset() {
        assertEquals(NOW - 1, read(page("'timestamp':'2025-01-31T09:29:59.999'")).happenedAt, "local time is UTC");
        assertEquals(NOW, read(page("'timestamp':'2025-01-31T10:30:00+01:00'")).happenedAt);
        assertEquals(NOW + EventReader.HOUR, read(page("'timestamp':'2025-01-31T10:30:00Z'")).happenedAt);
        assertEquals(EventReader.EARLIEST, read(page("'timestamp':'1990-01-01T00:00:00Z'")).happenedAt);
    }

    /** A page message; what is given besides comes last, and the last of two equal names counts. */
    private static String page(String more) {
        return "{" + PAGE + (more.isEmpty() ? "" : "," + more) + "}";
    }

    private static Event read(String message) {
        return EventReader.read(message.replace('\'', '"').getBytes(UTF_8), NOW, NOW, POLICY);
    }
}
