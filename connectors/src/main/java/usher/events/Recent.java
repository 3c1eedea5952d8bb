package usher.events;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.api.dataview.MapView;

/**
 * How often a user did what in each UTC hour of the last 30 days: for "at least n times in the last d" and for
 * frequency caps. An action's counts are pairs in order of time: {@code hour, n, hour, n}; an hour is counted from 1970.
 */
final class Recent {
    static final long HOUR = 3_600_000L;
    static final long HOURS = 30 * 24;
    /** Bound one user's state: the names beyond are not kept, of the pairs those of the oldest hours. */
    static final int MAX_ACTIONS = 200;

    static final int MAX_PAIRS = 1000;
    static final int MAX_NAME = 256;

    private Recent() {}

    /** Counts n actions of that hour, which may lie anywhere among those known. */
    static void add(MapView<String, long[]> recent, String action, long hour, long n) throws Exception {
        if (action.length() > MAX_NAME) {
            return;
        }
        long[] known = recent.get(action);
        if (known == null) {
            if (size(recent) < MAX_ACTIONS) {
                recent.put(action, new long[] {hour, n});
            }
            return;
        }
        recent.put(action, added(known, hour, n));
    }

    private static long[] added(long[] known, long hour, long n) {
        int at = known.length;
        while (at > 0 && known[at - 2] >= hour) {
            at -= 2;
        }
        boolean there = at < known.length && known[at] == hour;
        long[] pairs = there ? known.clone() : new long[known.length + 2];
        if (!there) {
            System.arraycopy(known, 0, pairs, 0, at);
            System.arraycopy(known, at, pairs, at + 2, known.length - at);
            pairs[at] = hour;
        }
        pairs[at + 1] += n;
        return pairs;
    }

    /** {@code {"Feature Used|reports":[[483112,2]]}}; forgets what is older than 30 days. */
    static String json(MapView<String, long[]> recent, long now) throws Exception {
        if (recent.isEmpty()) {
            return "{}";
        }
        expire(recent, now / HOUR - HOURS);
        StringBuilder json = new StringBuilder("{");
        for (Map.Entry<String, long[]> entry : recent.entries()) {
            json.append(json.length() > 1 ? ",\"" : "\"");
            json.append(JsonStringEncoder.getInstance().quoteAsString(entry.getKey())).append("\":[");
            long[] pairs = entry.getValue();
            for (int i = 0; i < pairs.length; i += 2) {
                json.append(i == 0 ? "[" : ",[").append(pairs[i]).append(',').append(pairs[i + 1]).append(']');
            }
            json.append(']');
        }
        return json.append('}').toString();
    }

    private static void expire(MapView<String, long[]> recent, long oldest) throws Exception {
        int pairs = 0;
        boolean old = false;
        for (long[] known : recent.values()) {
            pairs += known.length / 2;
            old |= known[0] < oldest;
        }
        if (old || pairs > MAX_PAIRS) {
            drop(recent, pairs > MAX_PAIRS ? Math.max(oldest, hourToKeep(recent, pairs - MAX_PAIRS)) : oldest);
        }
    }

    /** The oldest hour that may stay when at least so many pairs must go. */
    private static long hourToKeep(MapView<String, long[]> recent, int excess) throws Exception {
        List<Long> hours = new ArrayList<>();
        for (long[] known : recent.values()) {
            for (int i = 0; i < known.length; i += 2) {
                hours.add(known[i]);
            }
        }
        hours.sort(null);
        return hours.get(excess - 1) + 1;
    }

    private static void drop(MapView<String, long[]> recent, long before) throws Exception {
        Map<String, long[]> shorter = new HashMap<>();
        for (Map.Entry<String, long[]> entry : recent.entries()) {
            long[] known = entry.getValue();
            int from = 0;
            while (from < known.length && known[from] < before) {
                from += 2;
            }
            if (from > 0) {
                shorter.put(entry.getKey(), Arrays.copyOfRange(known, from, known.length));
            }
        }
        for (Map.Entry<String, long[]> entry : shorter.entrySet()) {
            if (entry.getValue().length == 0) {
                recent.remove(entry.getKey());
            } else {
                recent.put(entry.getKey(), entry.getValue());
            }
        }
    }

    static int size(MapView<String, ?> map) throws Exception {
        int size = 0;
        for (String ignored : map.keys()) {
            size++;
        }
        return size;
    }
}
