package usher.events;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.types.Row;
import usher.events.UserState.Totals;

/**
 * What somebody did, in a second or in a lifetime. Two of them add up in any order to what one would be had all of it
 * come from one id: that is what makes the merging of ids exact (docs/identity.md).
 */
final class Activity {
    private static final int VERSION = 1;
    private static final String NEXT = String.valueOf(Event.NEXT);
    private static final String FEATURE_USED = "Feature Used" + Event.DETAIL;

    Totals totals = new Totals();
    long firstSeen;
    long lastSeen;
    /** Begin and end of each session, in order, in record time. */
    List<long[]> sessions = new ArrayList<>();
    /** Sessions so long ago that their times are no longer kept. */
    long olderSessions;

    long olderActiveMs;
    String ip;
    String userAgent;
    String locale;
    String consent;
    /** Feature to how often it was used. */
    Map<String, Long> used = new HashMap<>();
    /** Action to pairs of hour and count, as in {@link Recent}. */
    Map<String, long[]> recent = new HashMap<>();
    /** Window time to what was counted there, for the last 30 minutes. */
    Map<Long, Totals> tiles = new HashMap<>();

    static Activity of(Row tile, long windowTime) {
        Activity done = new Activity();
        done.totals.events = tile.<Long>getFieldAs("events");
        done.totals.pagesViewed = tile.<Long>getFieldAs("pages_viewed");
        done.totals.stepsCompleted = tile.<Long>getFieldAs("steps_completed");
        done.totals.featuresUsed = tile.<Long>getFieldAs("features_used");
        done.totals.contentShown = tile.<Long>getFieldAs("content_shown");
        done.totals.contentClicked = tile.<Long>getFieldAs("content_clicked");
        done.firstSeen = tile.<Long>getFieldAs("first_happened");
        done.lastSeen = tile.<Long>getFieldAs("last_happened");
        long lastRecord = tile.<Long>getFieldAs("last_record");
        done.sessions.add(new long[] {tile.getFieldAs("first_record"), lastRecord});
        done.ip = tile.getFieldAs("ip");
        done.userAgent = tile.getFieldAs("user_agent");
        done.locale = tile.getFieldAs("locale");
        done.consent = tile.getFieldAs("consent");
        if (windowTime - lastRecord <= Person.HALF_HOUR) { // an overdue one (see AdmitEvents) may be older than that
            done.tiles.put(windowTime, done.totals);
        }
        done.count(tile.getFieldAs("actions"), lastRecord / Recent.HOUR);
        return done;
    }

    private void count(String actions, long hour) {
        if (actions == null) {
            return;
        }
        for (String action : actions.split(NEXT)) {
            recent.computeIfAbsent(action, ignored -> new long[] {hour, 0})[1]++;
            if (action.startsWith(FEATURE_USED) && action.length() > FEATURE_USED.length()) {
                used.merge(action.substring(FEATURE_USED.length()), 1L, Long::sum);
            }
        }
    }

    byte[] encode() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(256);
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            out.writeByte(VERSION);
            write(out, totals);
            out.writeLong(firstSeen);
            out.writeLong(lastSeen);
            out.writeLong(olderSessions);
            out.writeLong(olderActiveMs);
            out.writeInt(sessions.size());
            for (long[] session : sessions) {
                out.writeLong(session[0]);
                out.writeLong(session[1]);
            }
            for (String text : new String[] {ip, userAgent, locale, consent}) {
                out.writeBoolean(text != null);
                out.writeUTF(text == null ? "" : text);
            }
            writeMaps(out);
        } catch (IOException e) {
            throw new IllegalStateException("What a user did could not be written as bytes.", e);
        }
        return bytes.toByteArray();
    }

    private void writeMaps(DataOutputStream out) throws IOException {
        out.writeInt(used.size());
        for (Map.Entry<String, Long> entry : used.entrySet()) {
            out.writeUTF(entry.getKey());
            out.writeLong(entry.getValue());
        }
        out.writeInt(recent.size());
        for (Map.Entry<String, long[]> entry : recent.entrySet()) {
            out.writeUTF(entry.getKey());
            out.writeInt(entry.getValue().length);
            for (long number : entry.getValue()) {
                out.writeLong(number);
            }
        }
        out.writeInt(tiles.size());
        for (Map.Entry<Long, Totals> entry : tiles.entrySet()) {
            out.writeLong(entry.getKey());
            write(out, entry.getValue());
        }
    }

    static Activity decode(byte[] bytes) {
        Activity done = new Activity();
        try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes))) {
            int version = in.readByte();
            if (version != VERSION) {
                throw new IllegalStateException("What a user did is in form " + version + ", which this version of the"
                        + " job does not read: start it from a savepoint of its own version.");
            }
            done.totals = totals(in);
            done.firstSeen = in.readLong();
            done.lastSeen = in.readLong();
            done.olderSessions = in.readLong();
            done.olderActiveMs = in.readLong();
            for (int left = in.readInt(); left > 0; left--) {
                done.sessions.add(new long[] {in.readLong(), in.readLong()});
            }
            done.ip = text(in);
            done.userAgent = text(in);
            done.locale = text(in);
            done.consent = text(in);
            done.readMaps(in);
        } catch (IOException e) {
            throw new IllegalStateException("What a user did could not be read from its bytes.", e);
        }
        return done;
    }

    private void readMaps(DataInputStream in) throws IOException {
        for (int left = in.readInt(); left > 0; left--) {
            used.put(in.readUTF(), in.readLong());
        }
        for (int left = in.readInt(); left > 0; left--) {
            String action = in.readUTF();
            long[] pairs = new long[in.readInt()];
            for (int i = 0; i < pairs.length; i++) {
                pairs[i] = in.readLong();
            }
            recent.put(action, pairs);
        }
        for (int left = in.readInt(); left > 0; left--) {
            tiles.put(in.readLong(), totals(in));
        }
    }

    private static void write(DataOutputStream out, Totals totals) throws IOException {
        out.writeLong(totals.events);
        out.writeLong(totals.pagesViewed);
        out.writeLong(totals.stepsCompleted);
        out.writeLong(totals.featuresUsed);
        out.writeLong(totals.contentShown);
        out.writeLong(totals.contentClicked);
    }

    private static Totals totals(DataInputStream in) throws IOException {
        Totals totals = new Totals();
        totals.events = in.readLong();
        totals.pagesViewed = in.readLong();
        totals.stepsCompleted = in.readLong();
        totals.featuresUsed = in.readLong();
        totals.contentShown = in.readLong();
        totals.contentClicked = in.readLong();
        return totals;
    }

    private static String text(DataInputStream in) throws IOException {
        boolean there = in.readBoolean();
        String text = in.readUTF();
        return there ? text : null;
    }
}
