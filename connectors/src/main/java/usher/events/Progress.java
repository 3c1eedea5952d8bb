package usher.events;

import java.util.Arrays;

/**
 * How far each partition has been read, by its records' own times. It is not kept over restarts: until a partition has
 * spoken again, nothing in it is behind.
 */
final class Progress {
    private long[] newest = new long[0];

    /**
     * By how much (ms) this record is behind the newest of its partition. One from the future moves a partition no
     * further than to {@code now}, and one from over an hour ahead not at all: as with the watermark in sql/01.
     */
    long behind(int partition, long time, long now) {
        if (partition >= newest.length) {
            int known = newest.length;
            newest = Arrays.copyOf(newest, partition + 1);
            Arrays.fill(newest, known, newest.length, Long.MIN_VALUE);
        }
        if (time < now + EventReader.HOUR) {
            newest[partition] = Math.max(newest[partition], Math.min(time, now));
        }
        return newest[partition] == Long.MIN_VALUE ? 0 : Math.max(0, newest[partition] - time);
    }
}
