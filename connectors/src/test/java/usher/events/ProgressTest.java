package usher.events;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class ProgressTest {
    private static final long NOW = 1_000_000_000L;

    private final Progress progress = new Progress();

    private long behind(int partition, long time) {
        return progress.behind(partition, time, NOW);
    }

    @Test
    void aRecordIsBehindTheNewestOfItsOwnPartition() {
        assertEquals(0, behind(3, NOW - 500));
        assertEquals(400, behind(3, NOW - 900));
        assertEquals(0, behind(3, NOW - 500));
        assertEquals(0, behind(0, NOW - 9_000), "of another one nothing is known yet");
        assertEquals(0, behind(9, NOW - 8_000));
        assertEquals(8_500, behind(3, NOW - 9_000));
    }

    @Test
    void oneFromTheFutureMovesNobodyBeyondNow() {
        assertEquals(0, behind(0, NOW + 1_800_000));
        assertEquals(100, behind(0, NOW - 100));
        assertEquals(0, behind(1, NOW + EventReader.HOUR), "over an hour ahead: refused");
        assertEquals(0, behind(1, NOW - 100));
    }
}
