package usher.events;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The short way of reading a time says what Java's own formatter says, or nothing. */
class TimestampsTest {
    @Test
    void anyTimeThatAnSdkMayWrite() {
        Random random = new Random(1);
        long first = LocalDateTime.parse("0001-01-01T00:00:00").toEpochSecond(ZoneOffset.UTC);
        long last = LocalDateTime.parse("9999-12-31T23:59:59").toEpochSecond(ZoneOffset.UTC);
        for (int i = 0; i < 20_000; i++) {
            Instant time = Instant.ofEpochSecond(random.nextLong(first, last));
            String decimals = "123456789".substring(0, i % 10);
            String text = time.toString().replace("Z", decimals.isEmpty() ? "Z" : "." + decimals + "Z");
            assertEquals(Timestamps.iso(text), Timestamps.utc(text), text);
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "2024-02-29T23:59:59.9Z", "2024-02-29T23:59:59.09Z", "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z"
            })
    void theEdges(String text) {
        assertEquals(Timestamps.iso(text), Timestamps.utc(text));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-01T24:00:00Z",
                "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z", "2026-01-01T00:00:00.1234567890Z", "2026-01-01 00:00:00Z",
                "2026-01-01T00:00:0xZ", "2026-01-01T00:00:00,5Z", "+026-01-01T00:00:00Z", "Z", "2026-01-01T00:00:00.-1Z"
            })
    void whatIsNoTimeIsLeftToTheFormatterWhichRefusesIt(String text) {
        assertEquals(Timestamps.OTHER, Timestamps.utc(text));
        assertThrows(DateTimeException.class, () -> Timestamps.iso(text));
    }

    @ParameterizedTest
    @ValueSource(strings = {"2026-01-31T09:30:00+02:00", "2026-01-31T09:30:00.5", "2026-01-31T09:30Z"})
    void otherFormsAreLeftToTheFormatter(String text) {
        assertEquals(Timestamps.OTHER, Timestamps.utc(text));
        Timestamps.iso(text);
    }
}
