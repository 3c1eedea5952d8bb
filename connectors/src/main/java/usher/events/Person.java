package usher.events;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.types.Row;
import usher.events.UserState.Totals;

/** The state of one key as one thing: takes in what was done, and speaks of it as a feature row. */
final class Person {
    static final long HALF_HOUR = 1_800_000L;
    /** Bounds one user's state; further names still count in features_used. */
    static final int MAX_FEATURES = 200;
    /** Bounds one user's state; older sessions still count, but cannot be joined with others any more. */
    static final int MAX_SESSIONS = 500;

    /** A feature row. */
    static final String FEATURES =
            "first_seen TIMESTAMP_LTZ(3), last_seen TIMESTAMP_LTZ(3), events_total BIGINT NOT NULL, "
                    + "pages_viewed BIGINT NOT NULL, steps_completed BIGINT NOT NULL, "
                    + "features_used BIGINT NOT NULL, content_shown BIGINT NOT NULL, "
                    + "content_clicked BIGINT NOT NULL, sessions_total BIGINT NOT NULL, "
                    + "active_ms BIGINT NOT NULL, events_30m BIGINT NOT NULL, pages_viewed_30m BIGINT NOT NULL, "
                    + "steps_completed_30m BIGINT NOT NULL, features_used_30m BIGINT NOT NULL, "
                    + "content_shown_30m BIGINT NOT NULL, content_clicked_30m BIGINT NOT NULL, "
                    + "feature_counts MAP<STRING, BIGINT>, ip STRING, "
                    + "user_agent STRING, locale STRING, recent STRING NOT NULL, consent STRING NOT NULL, "
                    + "anonymous_ids ARRAY<STRING> NOT NULL, "
                    // the version of a profile that is to be deleted; such a row says nothing else
                    + "gone BIGINT";

    private static final int DATE_DIGITS = 13;

    final UserState user;
    private final MapView<Long, Totals> tiles;
    private final MapView<String, Long> used;
    private final MapView<String, long[]> recent;
    /** Begin to end of every session but the newest. */
    private final MapView<Long, Long> sessions;

    Person(UserState user, MapView<Long, Totals> tiles, MapView<String, Long> used, MapView<String, long[]> recent,
            MapView<Long, Long> sessions) {
        this.user = user;
        this.tiles = tiles;
        this.used = used;
        this.recent = recent;
        this.sessions = sessions;
    }

    /** Adds what was done; in whatever order it comes, the sum is the same. */
    void add(Activity done) throws Exception {
        user.consent = latest(user.consent, done.consent);
        if (done.totals.events == 0) {
            return;
        }
        user.firstSeen = user.lifetime.events == 0 ? done.firstSeen : Math.min(user.firstSeen, done.firstSeen);
        user.lastSeen = Math.max(user.lastSeen, done.lastSeen);
        user.ip = latest(user.ip, done.ip);
        user.userAgent = latest(user.userAgent, done.userAgent);
        user.locale = latest(user.locale, done.locale);
        user.lifetime.add(done.totals, 1);
        for (long[] session : done.sessions) {
            session(session[0], session[1]);
        }
        user.sessions += done.olderSessions;
        user.activeMs += done.olderActiveMs;
        for (Map.Entry<Long, Totals> tile : done.tiles.entrySet()) {
            user.rolling.add(tile.getValue(), 1);
            Totals there = tiles.get(tile.getKey());
            if (there != null) {
                tile.getValue().add(there, 1);
            }
            tiles.put(tile.getKey(), tile.getValue());
        }
        for (Map.Entry<String, Long> feature : done.used.entrySet()) {
            use(feature.getKey(), feature.getValue());
        }
        for (Map.Entry<String, long[]> action : done.recent.entrySet()) {
            for (int i = 0; i < action.getValue().length; i += 2) {
                Recent.add(recent, action.getKey(), action.getValue()[i], action.getValue()[i + 1]);
            }
        }
    }

    /** All that was done so far, to be added elsewhere. */
    Activity activity() throws Exception {
        Activity done = new Activity();
        done.totals.add(user.lifetime, 1);
        done.firstSeen = user.firstSeen;
        done.lastSeen = user.lastSeen;
        done.ip = user.ip;
        done.userAgent = user.userAgent;
        done.locale = user.locale;
        done.consent = user.consent;
        if (user.lifetime.events > 0) {
            done.sessions = spans();
        }
        done.olderSessions = user.sessions - done.sessions.size();
        done.olderActiveMs = user.activeMs - active(done.sessions);
        for (Map.Entry<Long, Totals> tile : tiles.entries()) {
            Totals copy = new Totals();
            copy.add(tile.getValue(), 1);
            done.tiles.put(tile.getKey(), copy);
        }
        for (Map.Entry<String, Long> feature : used.entries()) {
            done.used.put(feature.getKey(), feature.getValue());
        }
        for (Map.Entry<String, long[]> action : recent.entries()) {
            done.recent.put(action.getKey(), action.getValue());
        }
        return done;
    }

    /** Takes out of the last 30 minutes what is older; the time of the oldest tile that stays, or null. */
    Long expire(long now) throws Exception {
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
        return oldest == Long.MAX_VALUE ? null : oldest;
    }

    /** Forgets all that was done, and by whom; what must outlive that stays: its version, epoch, tombstone and consent. */
    void forget() throws Exception {
        UserState blank = new UserState();
        user.firstSeen = blank.firstSeen;
        user.lastSeen = blank.lastSeen;
        user.lastRecord = blank.lastRecord;
        user.sessionStart = blank.sessionStart;
        user.sessions = blank.sessions;
        user.activeMs = blank.activeMs;
        user.lifetime = blank.lifetime;
        user.rolling = blank.rolling;
        user.ip = null;
        user.userAgent = null;
        user.locale = null;
        user.otherIds = null;
        tiles.clear();
        used.clear();
        recent.clear();
        sessions.clear();
    }

    /** As Flink's SESSION: a gap of exactly 30 minutes still belongs to the session. */
    private void session(long first, long last) throws Exception {
        if (user.sessions == 0) {
            begin(first, last);
        } else if (first > user.lastRecord + HALF_HOUR) {
            sessions.put(user.sessionStart, user.lastRecord);
            begin(first, last);
            if (user.sessions % MAX_SESSIONS == 0) {
                keepNewest(spans());
            }
        } else if (first >= user.sessionStart) {
            user.activeMs += Math.max(0, last - user.lastRecord);
            user.lastRecord = Math.max(user.lastRecord, last);
        } else {
            insert(first, last);
        }
    }

    private void begin(long first, long last) {
        user.sessionStart = first;
        user.lastRecord = last;
        user.sessions++;
        user.activeMs += last - first;
    }

    /** A session that began before the newest one: joins all that it touches. */
    private void insert(long first, long last) throws Exception {
        List<long[]> spans = spans();
        user.sessions -= spans.size();
        user.activeMs -= active(spans);
        spans.add(new long[] {first, last});
        spans.sort((a, b) -> Long.compare(a[0], b[0]));
        List<long[]> joined = new ArrayList<>();
        for (long[] span : spans) {
            long[] before = joined.isEmpty() ? null : joined.get(joined.size() - 1);
            if (before != null && span[0] <= before[1] + HALF_HOUR) {
                before[1] = Math.max(before[1], span[1]);
            } else {
                joined.add(span);
            }
        }
        user.sessions += joined.size();
        user.activeMs += active(joined);
        long[] newest = joined.get(joined.size() - 1);
        user.sessionStart = newest[0];
        user.lastRecord = newest[1];
        keepNewest(joined);
    }

    private void keepNewest(List<long[]> spans) throws Exception {
        sessions.clear();
        for (long[] span : spans.subList(Math.max(0, spans.size() - MAX_SESSIONS), spans.size() - 1)) {
            sessions.put(span[0], span[1]);
        }
    }

    /** Begin and end of each session whose times are kept, in order. */
    private List<long[]> spans() throws Exception {
        List<long[]> spans = new ArrayList<>();
        for (Map.Entry<Long, Long> entry : sessions.entries()) {
            spans.add(new long[] {entry.getKey(), entry.getValue()});
        }
        spans.add(new long[] {user.sessionStart, user.lastRecord});
        spans.sort((a, b) -> Long.compare(a[0], b[0]));
        return spans;
    }

    private static long active(List<long[]> spans) {
        long active = 0;
        for (long[] span : spans) {
            active += span[1] - span[0];
        }
        return active;
    }

    /** Of two values with 13 digits of time before them, the later. */
    static String latest(String known, String dated) {
        return dated == null || known != null && known.compareTo(dated) > 0 ? known : dated;
    }

    private void use(String feature, long n) throws Exception {
        Long before = used.get(feature);
        if (before != null || Recent.size(used) < MAX_FEATURES) {
            used.put(feature, before == null ? n : before + n);
        }
    }

    /** Whether the latest statement of consent is a no. */
    boolean refuses() {
        return refuses(user.consent);
    }

    static boolean refuses(String statement) {
        return statement != null && statement.charAt(DATE_DIGITS) == Event.NO;
    }

    /** The feature row, as {@link #FEATURES} declares it, with room for so many columns more. */
    Row row(long now, int more) throws Exception {
        Totals all = user.lifetime;
        Totals rolling = user.rolling;
        Map<String, Long> counts = new TreeMap<>();
        for (Map.Entry<String, Long> entry : used.entries()) {
            counts.put(entry.getKey(), entry.getValue());
        }
        String statement = undated(user.consent);
        Object[] fields = {
            Instant.ofEpochMilli(user.firstSeen), Instant.ofEpochMilli(user.lastSeen), all.events, all.pagesViewed,
            all.stepsCompleted, all.featuresUsed, all.contentShown, all.contentClicked, user.sessions,
            user.activeMs, rolling.events, rolling.pagesViewed, rolling.stepsCompleted, rolling.featuresUsed,
            rolling.contentShown, rolling.contentClicked, counts, undated(user.ip),
            undated(user.userAgent), undated(user.locale), Recent.json(recent, now),
            statement == null ? "" : statement.substring(1), user.otherIds == null ? new String[0] : user.otherIds,
            null
        };
        return filled(fields, more);
    }

    /** A row without features: says that a profile is gone, or nothing. */
    static Row without(Long gone, int more) {
        Object[] fields = {
            null, null, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L, null, null, null, null, "", "",
            new String[0], gone
        };
        return filled(fields, more);
    }

    private static Row filled(Object[] fields, int more) {
        Row row = new Row(fields.length + more);
        for (int i = 0; i < fields.length; i++) {
            row.setField(i, fields[i]);
        }
        return row;
    }

    private static String undated(String dated) {
        return dated == null ? null : dated.substring(DATE_DIGITS);
    }
}
