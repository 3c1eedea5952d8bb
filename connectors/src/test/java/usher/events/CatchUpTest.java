package usher.events;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class CatchUpTest {
    private static final long NOON = 1_767_268_800_000L; // 2026-01-01T12:00:00Z

    @Test
    void usersWhoWaitAboutAsLongAreSpokenOfTogether() {
        // an eighth of 8 s is 1,000 ms; the power of two below is 512 ms
        assertEquals(1_000_448, CatchUp.shared(1_000_001, 8_000));
        assertEquals(1_000_448, CatchUp.shared(1_000_300, 8_100));
        assertEquals(1_000_448, CatchUp.shared(1_000_448, 8_000));
        assertEquals(1_000_960, CatchUp.shared(1_000_449, 8_000));
    }

    @Test
    void nobodyWaitsForOthersMoreThanAnEighthLonger() {
        for (long wait = 10_001; wait <= 300_000; wait += 997) {
            long more = CatchUp.shared(NOON + wait, wait) - (NOON + wait);
            assertTrue(more >= 0 && more < wait / 8.0, "a wait of " + wait + " ms became " + more + " ms longer");
        }
    }

    @Test
    void whoeverKeepsUpWaitsForNobody() {
        UserState user = new UserState();
        user.catchUpMs = 300_000;
        long now = System.currentTimeMillis();
        assertEquals(now, CatchUp.next(user, now));
        assertEquals(now - 15_000, CatchUp.next(user, now - 15_000)); // nor who has stumbled
    }

    @Test
    void whoeverIsBehindKeepsToWhatWasPlanned() {
        UserState user = new UserState();
        user.catchUpMs = 1_800_000;
        long hourAgo = System.currentTimeMillis() - 3_600_000;
        long planned = CatchUp.next(user, hourAgo); // half of an hour's lag, and up to an eighth of that
        assertTrue(planned >= hourAgo + 1_800_000 && planned < hourAgo + 1_800_000 * 9 / 8 + 1_000, "planned " + (planned - hourAgo));
        assertEquals(planned, CatchUp.next(user, hourAgo + 60_000));
        assertTrue(CatchUp.next(user, planned) > planned);
    }
}
