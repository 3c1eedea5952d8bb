package usher.events;

import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.types.Row;
import usher.events.UserState.Totals;

/**
 * Folds a user's tiles into one feature row: lifetime sums, the last 30 minutes, sessions by a 30-minute gap. It equals
 * SUM(...) OVER (... RANGE 30 MINUTES), SUM(...) OVER (... UNBOUNDED) and a SESSION window over the same tiles, and
 * does what SQL cannot: it speaks again when nothing comes, so that a silent user's rolling counters go back to zero.
 */
@FunctionHint(
        output =
                @DataTypeHint(
                        "ROW<first_seen TIMESTAMP_LTZ(3), last_seen TIMESTAMP_LTZ(3), events_total BIGINT NOT NULL, "
                                + "pages_viewed BIGINT NOT NULL, steps_completed BIGINT NOT NULL, "
                                + "features_used BIGINT NOT NULL, content_shown BIGINT NOT NULL, "
                                + "content_clicked BIGINT NOT NULL, sessions_total BIGINT NOT NULL, "
                                + "active_ms BIGINT NOT NULL, events_30m BIGINT NOT NULL, "
                                + "pages_viewed_30m BIGINT NOT NULL, steps_completed_30m BIGINT NOT NULL, "
                                + "features_used_30m BIGINT NOT NULL, content_shown_30m BIGINT NOT NULL, "
                                + "content_clicked_30m BIGINT NOT NULL, feature_counts MAP<STRING, BIGINT>, "
                                + "feature_counts_json STRING, ip STRING, user_agent STRING, locale STRING>"))
public class RollFeatures extends ProcessTableFunction<Row> {
    static final long HALF_HOUR = 1_800_000L;
    /** Rolling counters of a silent user are corrected on this grid: a write for each step in which a tile expires. */
    static final long DECAY_STEP = 60_000L;
    /** Bounds one user's state; further names still count in features_used. */
    static final int MAX_FEATURES = 200;

    private static final int DATE_DIGITS = 13;

    public void eval(
            Context context,
            @StateHint UserState user,
            @StateHint(ttl = "0 s") MapView<Long, Totals> tiles,
            @StateHint MapView<String, Long> used,
            @ArgumentHint({SET_SEMANTIC_TABLE, REQUIRE_ON_TIME}) Row tile)
            throws Exception {
        TimeContext<Long> time = context.timeContext(Long.class);
        long windowTime = time.time();
        Totals counts = new Totals();
        counts.events = tile.<Long>getFieldAs("events");
        counts.pagesViewed = tile.<Long>getFieldAs("pages_viewed");
        counts.stepsCompleted = tile.<Long>getFieldAs("steps_completed");
        counts.featuresUsed = tile.<Long>getFieldAs("features_used");
        counts.contentShown = tile.<Long>getFieldAs("content_shown");
        counts.contentClicked = tile.<Long>getFieldAs("content_clicked");
        seen(user, tile);
        session(user, tile.getFieldAs("first_record"), tile.getFieldAs("last_record"));
        user.ip = latest(user.ip, tile.getFieldAs("ip"));
        user.userAgent = latest(user.userAgent, tile.getFieldAs("user_agent"));
        user.locale = latest(user.locale, tile.getFieldAs("locale"));
        count(used, tile.getFieldAs("used"));
        user.lifetime.add(counts, 1);
        user.rolling.add(counts, 1);
        tiles.put(windowTime, counts);
        emit(user, tiles, used, windowTime, time);
    }

    public void onTimer(OnTimerContext context, UserState user, MapView<Long, Totals> tiles, MapView<String, Long> used)
            throws Exception {
        TimeContext<Long> time = context.timeContext(Long.class);
        // The end of a bounded input fires every timer; what lies ahead of the clock has not come to pass.
        if (time.time() > user.emitted && time.time() <= System.currentTimeMillis()) {
            emit(user, tiles, used, time.time(), time);
        }
    }

    private void emit(
            UserState user, MapView<Long, Totals> tiles, MapView<String, Long> used, long now, TimeContext<Long> time)
            throws Exception {
        long oldest = Long.MAX_VALUE;
        List<Long> expired = new ArrayList<>();
        for (Map.Entry<Long, Totals> entry : tiles.entries()) {
            if (entry.getKey() < now - HALF_HOUR) {
                user.rolling.add(entry.getValue(), -1);
                expired.add(entry.getKey());
            } else {
                oldest = Math.min(oldest, entry.getKey());
            }
        }
        for (Long key : expired) {
            tiles.remove(key);
        }
        if (oldest != Long.MAX_VALUE) {
            time.registerOnTime("decay", ((oldest + HALF_HOUR) / DECAY_STEP + 1) * DECAY_STEP);
        }
        user.emitted = now;
        collect(row(user, used));
    }

    private static void seen(UserState user, Row tile) {
        long first = tile.<Long>getFieldAs("first_happened");
        user.firstSeen = user.lifetime.events == 0 ? first : Math.min(user.firstSeen, first);
        user.lastSeen = Math.max(user.lastSeen, tile.<Long>getFieldAs("last_happened"));
    }

    /** As Flink's SESSION: a gap of exactly 30 minutes still belongs to the session. */
    private static void session(UserState user, long first, long last) {
        if (user.lifetime.events == 0 || first - user.lastRecord > HALF_HOUR) {
            user.sessions++;
            user.activeMs += last - first;
        } else {
            user.activeMs += last - user.lastRecord;
        }
        user.lastRecord = last;
    }

    private static String latest(String known, String dated) {
        return dated == null || known != null && known.compareTo(dated) > 0 ? known : dated;
    }

    private static void count(MapView<String, Long> used, String features) throws Exception {
        if (features == null) {
            return;
        }
        int room = MAX_FEATURES;
        for (String ignored : used.keys()) {
            room--;
        }
        for (String feature : features.split("\u001f")) {
            Long before = used.get(feature);
            if (before != null || room-- > 0) {
                used.put(feature, before == null ? 1L : before + 1);
            }
        }
    }

    private static Row row(UserState user, MapView<String, Long> used) throws Exception {
        Map<String, Long> counts = new TreeMap<>();
        StringBuilder json = new StringBuilder("{");
        for (Map.Entry<String, Long> entry : used.entries()) {
            counts.put(entry.getKey(), entry.getValue());
        }
        counts.forEach((name, n) -> {
            json.append(json.length() > 1 ? ",\"" : "\"");
            json.append(JsonStringEncoder.getInstance().quoteAsString(name)).append("\":").append(n);
        });
        Totals all = user.lifetime;
        Totals recent = user.rolling;
        return Row.of(
                Instant.ofEpochMilli(user.firstSeen), Instant.ofEpochMilli(user.lastSeen), all.events, all.pagesViewed,
                all.stepsCompleted, all.featuresUsed, all.contentShown, all.contentClicked, user.sessions,
                user.activeMs, recent.events, recent.pagesViewed, recent.stepsCompleted, recent.featuresUsed,
                recent.contentShown, recent.contentClicked, counts, json.append('}').toString(), undated(user.ip),
                undated(user.userAgent), undated(user.locale));
    }

    private static String undated(String dated) {
        return dated == null ? null : dated.substring(DATE_DIGITS);
    }
}
