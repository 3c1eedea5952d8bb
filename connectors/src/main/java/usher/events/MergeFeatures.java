package usher.events;

import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import java.util.Arrays;
import java.util.TreeSet;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.types.Row;
import usher.events.UserState.Totals;

/**
 * Makes one feature row of all ids that belong to one owner. Each sends all it did once in an epoch, and then each
 * further tile; a new epoch starts from nothing. It speaks when the watermark has passed, so once for each moment
 * however many of its ids were active, and not before every id has been heard (docs/identity.md).
 */
@FunctionHint(output = @DataTypeHint("ROW<" + Person.FEATURES + ">"))
public class MergeFeatures extends ProcessTableFunction<Row> {
    public void eval(
            Context context,
            @StateHint(ttl = Forgetting.BY_ITSELF) UserState user,
            @StateHint(ttl = Forgetting.BY_ITSELF) MapView<Long, Totals> tiles,
            @StateHint(ttl = Forgetting.BY_ITSELF) MapView<String, Long> used,
            @StateHint(ttl = Forgetting.BY_ITSELF) MapView<String, long[]> recent,
            @StateHint(ttl = Forgetting.BY_ITSELF) MapView<Long, Long> sessions,
            @ArgumentHint({SET_SEMANTIC_TABLE, REQUIRE_ON_TIME}) Row relayed,
            Long keepMs,
            Long catchUpMs)
            throws Exception {
        Forgetting.touch(user, keepMs);
        user.catchUpMs = catchUpMs;
        long epoch = relayed.getFieldAs("epoch");
        if (epoch < user.epoch) {
            return; // who belongs together has changed since; all of it comes again
        }
        Person person = new Person(user, tiles, used, recent, sessions);
        if (epoch > user.epoch) {
            person.forget();
            user.consent = null;
            user.epoch = epoch;
            user.members = relayed.getFieldAs("members");
            user.arrived = 0;
            user.closed = false;
        }
        // Reading history, an id may be ahead of what is said of it; its own rows must not be newer than those here.
        user.emitted = Math.max(user.emitted, relayed.<Long>getFieldAs("emitted"));
        TimeContext<Long> time = context.timeContext(Long.class);
        Forgetting.plan(user, time);
        String kind = relayed.getFieldAs("kind");
        if (kind.equals(RollFeatures.CLOSE) || kind.equals(RollFeatures.DROP)) {
            close(user, person, kind, time.time());
        } else if (!user.closed) {
            person.add(Activity.decode(relayed.getFieldAs("activity")));
            if (kind.equals(RollFeatures.ALL)) {
                user.arrived++;
                belongs(user, relayed.getFieldAs("sender"), relayed.getFieldAs("owner"));
            }
            boolean all = kind.equals(RollFeatures.ALL);
            long then = all ? RollFeatures.soon(time) : CatchUp.next(user, time.time());
            time.registerOnTime(Math.max(then, user.emitted + 1));
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
        boolean heard = !user.closed && user.arrived == user.members && user.lifetime.events > 0;
        if (due && heard && time.time() > user.emitted) {
            Person person = new Person(user, tiles, used, recent, sessions);
            if (person.refuses()) { // one of its ids said no, later than any said yes
                close(user, person, RollFeatures.DROP, time.time());
                return;
            }
            RollFeatures.decay(person, time);
            user.emitted = time.time();
            collect(person.row(time.time(), 0));
        }
    }

    private void close(UserState user, Person person, String kind, long now) throws Exception {
        person.forget();
        user.consent = null;
        user.closed = true;
        if (kind.equals(RollFeatures.DROP)) {
            user.emitted = Math.max(user.emitted, now);
            collect(Person.without(user.emitted, 0));
        }
    }

    private static void belongs(UserState user, String member, String owner) {
        if (!member.equals(owner)) {
            TreeSet<String> ids = new TreeSet<>(user.otherIds == null ? Arrays.asList() : Arrays.asList(user.otherIds));
            ids.add(member);
            user.otherIds = ids.toArray(new String[0]);
        }
    }
}
