package usher.events;

/**
 * How often a profile is spoken of while the job is behind: reading history, or a backlog after a stop. Each feature row
 * costs a prediction, decisions, and writes to Elasticsearch and Kafka, of which only the newest is ever looked up. So a
 * row waits for others of its user, by half of how far behind the clock it is: at a lag of 60 s the profile is 90 s old
 * instead of 60. A job that keeps up, or is behind by a few seconds only, writes every tile.
 */
final class CatchUp {
    private static final long LEAST = 10_000L;
    private static final int SHARE = 2;
    private static final int STEPS = 8;

    private CatchUp() {}

    /** Window time at which to speak of what was done at {@code now}: then, or when what is already planned is due. */
    static long next(UserState user, long now) {
        long wait = wait(user, now);
        if (wait <= LEAST) {
            return now;
        }
        if (user.planned <= now) {
            user.planned = shared(now + wait, wait);
        }
        return user.planned;
    }

    /**
     * That moment, or up to an eighth of the wait later, when others are spoken of too: in ones and twos they would go into
     * Python by the dozen, whose batches end after {@code bundle_ms} (docs/speed.md).
     */
    static long shared(long moment, long wait) {
        long step = Long.highestOneBit(Math.max(1, wait / STEPS)); // the same for all that wait about as long
        return Math.floorDiv(moment + step - 1, step) * step;
    }

    /** How long (ms of window time) a row waits for others. */
    static long wait(UserState user, long now) {
        return Math.min((System.currentTimeMillis() - now) / SHARE, user.catchUpMs);
    }
}
