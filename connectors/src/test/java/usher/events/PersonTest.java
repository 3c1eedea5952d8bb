package usher.events;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What two ids did adds up to what one would have done, in whatever order it comes. */
class PersonTest {
    private static final long NINE = 1_738_314_000_000L;
    private static final String[] ACTIONS = {"Feature Used|reports", "Feature Used|analytics", "Content Shown|hello", null};

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8})
    void theSumIsTheSameHoweverItIsPutTogether(int seed) throws Exception {
        List<Row> tiles = tiles(new Random(seed), 200);
        long end = time(tiles.get(tiles.size() - 1));
        Fixture one = new Fixture();
        one.addAll(tiles);
        String expected = one.row(end);

        List<Row> shuffled = new ArrayList<>(tiles);
        Collections.shuffle(shuffled, new Random(seed));
        Fixture anyOrder = new Fixture();
        anyOrder.addAll(shuffled);
        assertEquals(expected, anyOrder.row(end), "in any order");

        Random chance = new Random(seed);
        List<Fixture> ids = List.of(new Fixture(), new Fixture(), new Fixture());
        for (Row tile : tiles) {
            ids.get(chance.nextInt(3)).addAll(List.of(tile));
        }
        Fixture merged = new Fixture();
        for (Fixture id : ids) {
            merged.person.add(Activity.decode(id.person.activity().encode()));
        }
        assertEquals(expected, merged.row(end), "from three ids");
        assertEquals(expected, again(merged).row(end), "handed on once more");
    }

    @Test
    void sessionsByHand() throws Exception {
        Fixture user = new Fixture();
        for (long minute : new long[] {0, 100, 31, 130, 60}) { // 0; 31 + 60 (29 apart); 100 + 130 (30 apart)
            user.addAll(List.of(tile(NINE + minute * 60_000, 0, null)));
        }
        assertEquals(3, user.user.sessions);
        assertEquals((29 + 30) * 60_000L, user.user.activeMs);
        user.addAll(List.of(tile(NINE + 85 * 60_000, 0, null))); // joins 60 and 100
        assertEquals(2, user.user.sessions);
        assertEquals(99 * 60_000L, user.user.activeMs);
        assertEquals(user.row(NINE), again(user).row(NINE));
    }

    @Test
    void moreSessionsThanAreKeptStillCount() throws Exception {
        Fixture user = new Fixture();
        for (int n = 0; n < 2 * Person.MAX_SESSIONS + 10; n++) {
            user.addAll(List.of(tile(NINE + n * 3_600_000L, 500, null)));
        }
        assertEquals(2 * Person.MAX_SESSIONS + 10, user.user.sessions);
        assertEquals(500L * user.user.sessions, user.user.activeMs);
        int kept = user.person.activity().sessions.size();
        assertTrue(kept <= Person.MAX_SESSIONS + 10, kept + " are kept");
        assertEquals(user.user.sessions, again(user).user.sessions);
        assertEquals(user.user.activeMs, again(user).user.activeMs);
    }

    @Test
    void whatIsForgottenIsGone() throws Exception {
        Fixture user = new Fixture();
        user.addAll(tiles(new Random(1), 50));
        user.person.forget();
        assertTrue(user.user.consent != null, "what was said of consent outlives it");
        user.user.consent = null;
        assertEquals(new Fixture().row(NINE), user.row(NINE));
    }

    @Test
    void recentActionsAreBounded() throws Exception {
        Fixture user = new Fixture();
        for (int n = 0; n < 300; n++) {
            user.addAll(List.of(tile(NINE + n % 10, 0, "Event " + n + "|")));
        }
        assertEquals(Recent.MAX_ACTIONS, Recent.size(user.recent));
        for (int n = 0; n < 700; n++) {
            user.addAll(List.of(tile(NINE + n * 3_600_000L, 0, "Event 0|\u001fEvent 1|")));
        }
        String json = Recent.json(user.recent, NINE + 699 * 3_600_000L);
        int pairs = json.split("\\],\\[").length + json.split("\":\\[\\[").length - 2;
        assertTrue(pairs <= Recent.MAX_PAIRS, pairs + " pairs");
        assertTrue(json.contains("[" + (NINE / 3_600_000L + 699) + ",1]"), "the newest stays");
        assertEquals("{}", Recent.json(user.recent, NINE + 1500 * 3_600_000L), "after 30 days there is nothing");
    }

    private static Fixture again(Fixture user) throws Exception {
        Fixture other = new Fixture();
        other.person.add(Activity.decode(user.person.activity().encode()));
        return other;
    }

    /** Tiles in order of time, from seconds to an hour and more apart. */
    private static List<Row> tiles(Random chance, int n) {
        long[] at = {NINE};
        return IntStream.range(0, n).mapToObj(i -> {
            at[0] += chance.nextInt(4) == 0 ? 1_200_000L + chance.nextInt(1_200_000) : 1000L + chance.nextInt(60_000);
            return tile(at[0], chance.nextInt(500), ACTIONS[chance.nextInt(ACTIONS.length)]);
        }).collect(Collectors.toList());
    }

    private static Row tile(long at, long lasts, String actions) {
        Row row = Row.withNames();
        for (String name : List.of("pages_viewed", "steps_completed", "features_used", "content_shown", "content_clicked")) {
            row.setField(name, at % 3);
        }
        row.setField("events", 1 + at % 5);
        row.setField("first_happened", at - at % 7);
        row.setField("last_happened", at + lasts);
        row.setField("first_record", at);
        row.setField("last_record", at + lasts);
        row.setField("ip", at % 2 == 0 ? at + "1.1.1." + at % 9 : null);
        row.setField("user_agent", null);
        row.setField("locale", at + "de");
        row.setField("consent", at % 3 == 0 ? at + "y{\"n\":" + at % 2 + "}" : null);
        row.setField("actions", actions);
        return row;
    }

    private static long time(Row tile) {
        return Math.floorDiv(tile.<Long>getFieldAs("first_record"), 1000L) * 1000 + 999;
    }

    /** A person in plain memory. */
    private static final class Fixture {
        final UserState user = new UserState();
        final MapView<String, long[]> recent = new MapView<>();
        final Person person = new Person(user, new MapView<>(), new MapView<>(), recent, new MapView<>());

        void addAll(List<Row> tiles) throws Exception {
            for (Row tile : tiles) {
                person.add(Activity.of(tile, time(tile)));
            }
        }

        /** The feature row as of then, its recent actions in order. */
        String row(long now) throws Exception {
            person.expire(now);
            Row row = person.row(now, 0);
            String actions = String.valueOf(row.getField(21)).replaceAll("^\\{\"?|\\}$", "");
            row.setField(21, new TreeSet<>(List.of(actions.split(",\""))));
            return row.toString();
        }
    }
}
