package usher.events;

/** What is kept of one user between tiles: lifetime totals, the sums of the last 30 minutes, and the newest session. */
public class UserState {
    public long firstSeen;
    public long lastSeen;
    public long lastRecord;
    /** When the newest session began; those before it are kept apart (see {@link Person}). */
    public long sessionStart;
    public long sessions;
    public long activeMs;
    public Totals lifetime = new Totals();
    public Totals rolling = new Totals();
    public String ip;
    public String userAgent;
    public String locale;
    /** The latest statement: 13 digits of time, a (agreed) or n, and the categories as JSON. */
    public String consent;
    /** How long it is kept after the last sign of life, and when that was by the machine's clock. */
    public long keepMs;
    public long touched;
    /** Window time of the newest row that was emitted. */
    public long emitted;
    /** Window time at which it is to be spoken of next, while the job is behind ({@link CatchUp}). */
    public long planned;
    /** The longest that a row waits then. */
    public long catchUpMs;
    /** The id whose profile holds what this one does; null where it is this one's own. */
    public String owner;
    /** The number of the newest change of who belongs together. */
    public long epoch;
    /** How many ids belong together in this epoch, and how many of them have handed over what they did. */
    public int members;
    public int arrived;
    /** The profile of this id went elsewhere, or was deleted, in this epoch. */
    public boolean closed;
    /** The ids that belong to this one, in order; null for none. */
    public String[] otherIds;
    /** What happened before was erased and must not come back; 0 for never. */
    public long erasedAt;

    /** The counters of a tile, of 30 minutes, or of a lifetime. */
    public static class Totals {
        public long events;
        public long pagesViewed;
        public long stepsCompleted;
        public long featuresUsed;
        public long contentShown;
        public long contentClicked;

        void add(Totals other, int sign) {
            events += sign * other.events;
            pagesViewed += sign * other.pagesViewed;
            stepsCompleted += sign * other.stepsCompleted;
            featuresUsed += sign * other.featuresUsed;
            contentShown += sign * other.contentShown;
            contentClicked += sign * other.contentClicked;
        }
    }
}
