package usher.events;

import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.types.Row;

/**
 * Knows which ids belong to one person. Each id leads to at most one other, by the earliest message that says so;
 * where a chain of them ends is the owner. Whenever that changes, every id concerned is told, with a greater epoch.
 * One task holds the whole map, for a chain can cross every partition; it sees only messages that say something of ids.
 */
@FunctionHint(output = @DataTypeHint(
        "ROW<user_key STRING, kind STRING, owner STRING, epoch BIGINT, members INT, since BIGINT>"))
public class ResolveIds extends ProcessTableFunction<Row> {
    static final String LINK = "link";
    static final String REFUSE = "refuse";
    static final String ERASE = "erase";
    /** Ids of one person; what more claims to be the same is a test account or a mistake, and stays apart. */
    static final int MAX_IDS = 100;

    private static final long DAY = 86_400_000L;

    /** Where an id leads, and since when. */
    public static class Link {
        public String to;
        public long at;
        /** When that was said last, by the machine's clock. */
        public long heard;
    }

    /** The number of the newest change; greater than any before, also of a job that started from nothing. */
    public static class Epoch {
        public long number;
        /** When the map was last rid of what is old. */
        public long cleaned;
    }

    public void eval(
            Context context,
            @StateHint(ttl = Forgetting.BY_ITSELF) Epoch epoch,
            @StateHint(ttl = Forgetting.BY_ITSELF) MapView<String, Link> links,
            @StateHint(ttl = Forgetting.BY_ITSELF) MapView<String, String[]> sources,
            @StateHint(ttl = Forgetting.BY_ITSELF) MapView<String, Long> erased,
            @ArgumentHint({SET_SEMANTIC_TABLE, REQUIRE_ON_TIME}) Row notice,
            Long keepMs)
            throws Exception {
        long now = context.timeContext(Long.class).time();
        epoch.number = Math.max(epoch.number, now);
        String id = notice.getFieldAs("id");
        long at = notice.getFieldAs("since");
        Ids ids = new Ids(links, sources);
        if (LINK.equals(notice.getFieldAs("kind"))) {
            String to = notice.getFieldAs("target");
            boolean gone = isErased(erased, id, at);
            if (!gone && isErased(erased, to, at) && links.get(id) == null) {
                // Reading history, the wish of the one came before this: it is meant for the other as well.
                forget(epoch, ids, erased, id, ERASE, erased.get(to));
            } else if (!gone && !isErased(erased, to, at)) {
                link(epoch, ids, id, to, at);
                ids.heard(id, System.currentTimeMillis());
            }
        } else {
            forget(epoch, ids, erased, id, notice.getFieldAs("kind"), at);
        }
        clean(epoch, ids, erased, System.currentTimeMillis(), keepMs);
    }

    /** Once a day, by the machine's clock: reading history forgets nobody. */
    private static void clean(Epoch epoch, Ids ids, MapView<String, Long> erased, long now, long keepMs) throws Exception {
        if (now - epoch.cleaned < DAY) {
            return;
        }
        epoch.cleaned = now;
        ids.dropUnheard(now - keepMs);
        for (Iterator<Map.Entry<String, Long>> all = erased.entries().iterator(); all.hasNext(); ) {
            if (all.next().getValue() < now - keepMs) {
                all.remove();
            }
        }
    }

    private void link(Epoch epoch, Ids ids, String id, String to, long at) throws Exception {
        Link known = ids.links.get(id);
        if (known != null && (known.to.equals(to) || known.at < at || known.at == at && known.to.compareTo(to) < 0)) {
            return; // who claims an id first has it
        }
        if (ids.path(to).contains(id) || ids.belongingTo(id).size() + ids.belongingTo(ids.owner(to)).size() > MAX_IDS) {
            return; // a circle, or a crowd
        }
        String before = ids.owner(id);
        ids.point(id, to, at);
        if (!before.equals(id)) {
            tell(epoch, ids, before);
        }
        tell(epoch, ids, ids.owner(id));
    }

    private void tell(Epoch epoch, Ids ids, String owner) throws Exception {
        List<String> members = ids.belongingTo(owner);
        epoch.number++;
        for (String member : members) {
            collect(Row.of(member, LINK, members.size() > 1 ? owner : null, epoch.number, members.size(), 0L));
        }
    }

    private void forget(Epoch epoch, Ids ids, MapView<String, Long> erased, String id, String kind, long at)
            throws Exception {
        List<String> members = ids.belongingTo(ids.owner(id));
        epoch.number++;
        for (String member : members) {
            ids.remove(member);
            if (kind.equals(ERASE)) {
                erased.put(member, at);
            }
            collect(Row.of(member, kind, null, epoch.number, 1, at));
        }
    }

    private static boolean isErased(MapView<String, Long> erased, String id, long at) throws Exception {
        Long when = erased.get(id);
        return when != null && at <= when;
    }

    /** The map of ids: where each leads, and which lead to it. */
    private record Ids(MapView<String, Link> links, MapView<String, String[]> sources) {
        /** The id and all that it leads to, the owner last. */
        List<String> path(String id) throws Exception {
            List<String> path = new ArrayList<>();
            path.add(id);
            for (Link next = links.get(id); next != null; next = links.get(next.to)) {
                path.add(next.to);
            }
            return path;
        }

        String owner(String id) throws Exception {
            List<String> path = path(id);
            return path.get(path.size() - 1);
        }

        /** The id and all that lead to it, however far. */
        List<String> belongingTo(String id) throws Exception {
            List<String> found = new ArrayList<>();
            found.add(id);
            for (int i = 0; i < found.size(); i++) {
                String[] more = sources.get(found.get(i));
                found.addAll(more == null ? List.of() : Arrays.asList(more));
            }
            return found;
        }

        void point(String id, String to, long at) throws Exception {
            Link known = links.get(id);
            if (known != null) {
                leave(id, known.to);
            }
            Link link = new Link();
            link.to = to;
            link.at = at;
            links.put(id, link);
            String[] others = sources.get(to);
            String[] all = others == null ? new String[1] : Arrays.copyOf(others, others.length + 1);
            all[all.length - 1] = id;
            sources.put(to, all);
        }

        void heard(String id, long now) throws Exception {
            Link link = links.get(id);
            if (link != null) {
                link.heard = Math.max(link.heard, now);
                links.put(id, link);
            }
        }

        /** Forgets the links that nothing has said again since; those that others lead through stay as long as those. */
        void dropUnheard(long since) throws Exception {
            List<String> old = new ArrayList<>();
            for (Map.Entry<String, Link> link : links.entries()) {
                if (link.getValue().heard < since && sources.get(link.getKey()) == null) {
                    old.add(link.getKey());
                }
            }
            for (String id : old) {
                leave(id, links.get(id).to);
                links.remove(id);
            }
        }

        private void leave(String id, String to) throws Exception {
            List<String> rest = new ArrayList<>(Arrays.asList(sources.get(to)));
            rest.remove(id);
            if (rest.isEmpty()) {
                sources.remove(to);
            } else {
                sources.put(to, rest.toArray(new String[0]));
            }
        }

        /** To be called for all of those that belong together. */
        void remove(String id) throws Exception {
            links.remove(id);
            sources.remove(id);
        }
    }
}
