package usher.events;

/** What is kept of one user between tiles: lifetime totals, the sums of the last 30 minutes, and the open session. */
public class UserState {
    public long firstSeen;
    public long lastSeen;
    public long lastRecord;
    public long sessions;
    public long activeMs;
    public Totals lifetime = new Totals();
    public Totals rolling = new Totals();
    public String ip;
    public String userAgent;
    public String locale;
    /** Window time of the newest row that was emitted. */
    public long emitted;

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
