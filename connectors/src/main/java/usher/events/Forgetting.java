package usher.events;

import org.apache.flink.table.functions.ProcessTableFunction.OnTimerContext;
import org.apache.flink.table.functions.ProcessTableFunction.TimeContext;

/**
 * Drops the state of a key that has been silent for so long. Flink's own TTL, on the heap backend, copies whole maps of
 * five other keys at each access (docs/speed.md), and lets each entry of a map go by itself.
 */
final class Forgetting {
    /** No TTL by Flink. */
    static final String BY_ITSELF = "0 s";

    private static final String TIMER = "forget";

    private Forgetting() {}

    /** To be called with each sign of life. As with Flink's TTL, the machine's clock counts: reading history forgets nobody. */
    static void touch(UserState user, long keepMs) {
        user.keepMs = keepMs;
        user.touched = System.currentTimeMillis();
    }

    /** To be called when a key falls silent; again when it does so again. */
    static void plan(UserState user, TimeContext<Long> time) {
        time.registerOnTime(TIMER, time.time() + user.keepMs);
    }

    /** Whether this timer is that one; then the state is gone, unless it was touched meanwhile. */
    static boolean onTimer(OnTimerContext context, UserState user, TimeContext<Long> time) {
        if (!TIMER.equals(context.currentTimer())) {
            return false;
        }
        long now = System.currentTimeMillis();
        long left = user.touched + user.keepMs - now;
        if (left <= 0) {
            context.clearAll();
        } else if (time.time() <= now) { // else it is the end of a bounded input, which fires every timer
            time.registerOnTime(TIMER, time.time() + left);
        }
        return true;
    }
}
