package usher.events;

import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.types.Row;
import usher.events.UserState.Totals;

/**
 * Folds an id's tiles into one feature row: lifetime sums, the last 30 minutes, sessions by a 30-minute gap. It equals
 * SUM(...) OVER (... RANGE 30 MINUTES), SUM(...) OVER (... UNBOUNDED) and a SESSION window over the same tiles, and
 * does what SQL cannot: it speaks again when nothing comes, so that a silent user's rolling counters go back to zero.
 *
 * <p>An id that belongs to somebody is not spoken of: what it did goes to its owner's {@link MergeFeatures}, at first
 * all of it, then tile by tile. Whoever refuses consent, or is erased, is forgotten here, and there.
 */
@FunctionHint(output = @DataTypeHint("ROW<" + Person.FEATURES + ", " + RollFeatures.RELAY + ">"))
public class RollFeatures extends ProcessTableFunction<Row> {
    /** What goes to the owner: see {@link MergeFeatures}. */
    static final String RELAY = "owner STRING, kind STRING, epoch BIGINT, members INT, emitted BIGINT, activity BYTES";
    /** Rolling counters of a silent user are corrected on this grid: a write for each step in which a tile expires. */
    static final long DECAY_STEP = 60_000L;

    static final String ALL = "all";
    static final String MORE = "more";
    static final String CLOSE = "close";
    static final String DROP = "drop";
    private static final int RELAYED = 6;

    public void eval(
            Context context,
            @StateHint(ttl = Forgetting.BY_ITSELF) UserState user,
            @StateHint(ttl = Forgetting.BY_ITSELF) MapView<Long, Totals> tiles,
            @StateHint(ttl = Forgetting.BY_ITSELF) MapView<String, Long> used,
            @StateHint(ttl = Forgetting.BY_ITSELF) MapView<String, long[]> recent,
            @StateHint(ttl = Forgetting.BY_ITSELF) MapView<Long, Long> sessions,
            @ArgumentHint({SET_SEMANTIC_TABLE, REQUIRE_ON_TIME}) Row turn,
            Long keepMs,
            Long catchUpMs)
            throws Exception {
        Forgetting.touch(user, keepMs);
        user.catchUpMs = catchUpMs;
        Person person = new Person(user, tiles, used, recent, sessions);
        TimeContext<Long> time = context.timeContext(Long.class);
        String kind = turn.getFieldAs("kind");
        if (kind == null) {
            tile(user, person, turn, time);
        } else {
            route(user, person, turn, kind, time);
        }
        if (user.owner != null || user.lifetime.events == 0) {
            Forgetting.plan(user, time); // others do so when their last tile has expired
        }
    }

    public void onTimer(
            OnTimerContext context, UserState user, MapView<Long, Totals> tiles, MapView<String, Long> used,
            MapView<String, long[]> recent, MapView<Long, Long> sessions)
            throws Exception {
        TimeContext<Long> time = context.timeContext(Long.class);
        if (Forgetting.onTimer(context, user, time)) {
            return;
        }
        // The end of a bounded input fires every timer; what lies ahead of the clock has not come to pass.
        boolean due = context.currentTimer() == null || time.time() <= System.currentTimeMillis();
        Person person = new Person(user, tiles, used, recent, sessions);
        if (user.owner != null) {
            decay(person, time);
        } else if (due && time.time() > user.emitted && user.lifetime.events > 0) {
            emit(user, person, time);
        }
    }

    private void tile(UserState user, Person person, Row tile, TimeContext<Long> time) throws Exception {
        Long happened = tile.getFieldAs("first_happened");
        if (happened != null && Math.min(happened, tile.<Long>getFieldAs("first_record")) <= user.erasedAt) {
            return; // what was erased came again
        }
        boolean refused = person.refuses();
        String statement = Person.latest(user.consent, tile.getFieldAs("consent"));
        if (Person.refuses(statement)) {
            user.consent = statement;
            if (!refused) {
                forget(user, person, tile.getFieldAs("user_key"), time.time());
            }
            return;
        }
        user.consent = statement;
        if (happened == null) {
            return; // nothing in it may be counted
        }
        Activity done = Activity.of(tile, time.time());
        byte[] more = user.owner == null ? null : done.encode();
        person.add(done);
        if (more == null) {
            long then = CatchUp.next(user, time.time());
            if (then == time.time()) {
                emit(user, person, time);
            } else {
                time.registerOnTime(then);
            }
        } else {
            decay(person, time);
            relay(user, user.owner, MORE, more);
        }
    }

    private void route(UserState user, Person person, Row route, String kind, TimeContext<Long> time) throws Exception {
        String id = route.getFieldAs("user_key");
        long at = route.getFieldAs("since");
        user.epoch = route.getFieldAs("epoch");
        user.members = route.getFieldAs("members");
        if (kind.equals(ResolveIds.ERASE)) {
            user.erasedAt = Math.max(user.erasedAt, at);
            user.consent = null;
            forget(user, person, id, time.time());
        } else if (kind.equals(ResolveIds.REFUSE) && !isNewer(user.consent, at)) {
            user.consent = Event.statement(at, false, "");
            forget(user, person, id, time.time());
        } else {
            follow(user, person, id, route.getFieldAs("owner"), time);
        }
    }

    /** Whether somebody said yes after that time. */
    private static boolean isNewer(String statement, long at) {
        return statement != null && !Person.refuses(statement) && statement.compareTo(Event.statement(at, true, "")) > 0;
    }

    /** From now on what this id does belongs to that owner; null: to itself alone. */
    private void follow(UserState user, Person person, String id, String owner, TimeContext<Long> time) throws Exception {
        String before = user.owner;
        user.owner = owner;
        if (id.equals(before) && !id.equals(owner)) {
            relay(user, id, owner == null ? CLOSE : DROP, null);
        }
        if (owner == null) {
            time.registerOnTime(soon(time));
            return;
        }
        if (before == null && !id.equals(owner)) {
            gone(user, time.time());
        }
        relay(user, owner, ALL, person.activity().encode());
    }

    private void forget(UserState user, Person person, String id, long now) throws Exception {
        if (user.owner != null) {
            relay(user, user.owner, DROP, null);
        }
        user.owner = null;
        person.forget();
        gone(user, now);
    }

    private void gone(UserState user, long now) {
        user.emitted = Math.max(user.emitted, now);
        collect(Person.without(user.emitted, RELAYED));
    }

    private void relay(UserState user, String owner, String kind, byte[] activity) {
        Row row = Person.without(null, RELAYED);
        int at = row.getArity() - RELAYED;
        row.setField(at, owner);
        row.setField(at + 1, kind);
        row.setField(at + 2, user.epoch);
        row.setField(at + 3, user.members);
        row.setField(at + 4, user.emitted);
        row.setField(at + 5, activity);
        collect(row);
    }

    private void emit(UserState user, Person person, TimeContext<Long> time) throws Exception {
        decay(person, time);
        user.emitted = time.time();
        collect(person.row(time.time(), RELAYED));
    }

    /** Takes out what is older than 30 minutes, and sees to it that the rest will be, too. */
    static void decay(Person person, ProcessTableFunction.TimeContext<Long> time) throws Exception {
        Long oldest = person.expire(time.time());
        if (oldest == null) {
            Forgetting.plan(person.user, time);
        } else {
            long expires = ((oldest + Person.HALF_HOUR) / DECAY_STEP + 1) * DECAY_STEP;
            time.registerOnTime("decay", Math.max(expires, time.time() + CatchUp.wait(person.user, time.time())));
        }
    }

    /** The end of the second, later than any row so far: then no row of the tiles of this moment is still to come. */
    static long soon(ProcessTableFunction.TimeContext<Long> time) {
        Long watermark = time.currentWatermark();
        long now = watermark == null ? time.time() : Math.max(time.time(), watermark);
        return Math.floorDiv(now, 1000L) * 1000L + 999L;
    }
}
