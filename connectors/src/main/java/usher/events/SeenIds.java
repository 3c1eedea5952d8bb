package usher.events;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;

/**
 * The message ids of one bucket within an hour of window time, in one array: for each 8 bytes of its MD5 and 8 bytes of
 * time, and before them the length of what is used. A map of strings took ten times the memory, and Flink's heap backend
 * copied all of it after each checkpoint (docs/speed.md). Two ids are mistaken for one another once in 2^64 pairs of one
 * bucket and hour.
 */
final class SeenIds {
    static final long HOUR = 3_600_000L;
    private static final int FIRST = Long.BYTES;
    private static final int ENTRY = 2 * Long.BYTES;
    private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);

    private final MessageDigest md5 = md5();

    /** The ids with this one; null if it was seen less than an hour before or after. `ids` may be changed. */
    byte[] with(byte[] ids, byte[] id, long now, long watermark) {
        long hash = get(md5.digest(id), 0);
        int end = ids == null ? FIRST : (int) get(ids, 0);
        for (int at = FIRST; at < end; at += ENTRY) {
            if (get(ids, at) == hash) {
                if (Math.abs(now - get(ids, at + Long.BYTES)) < HOUR) {
                    return null;
                }
                LONG.set(ids, at + Long.BYTES, now);
                return ids;
            }
        }
        byte[] roomy = ids == null || end == ids.length ? withRoom(ids, end, watermark - HOUR) : ids;
        int at = (int) get(roomy, 0);
        LONG.set(roomy, at, hash);
        LONG.set(roomy, at + Long.BYTES, now);
        LONG.set(roomy, 0, (long) at + ENTRY);
        return roomy;
    }

    /** Half as long again as what is newer than that. */
    private static byte[] withRoom(byte[] ids, int end, long oldest) {
        int kept = FIRST;
        for (int at = FIRST; at < end; at += ENTRY) {
            if (get(ids, at + Long.BYTES) > oldest) {
                System.arraycopy(ids, at, ids, kept, ENTRY);
                kept += ENTRY;
            }
        }
        int entries = (kept - FIRST) / ENTRY;
        int length = FIRST + (entries + entries / 2 + 1) * ENTRY;
        byte[] roomy = ids == null ? new byte[length] : Arrays.copyOf(ids, length);
        LONG.set(roomy, 0, (long) kept);
        return roomy;
    }

    private static long get(byte[] bytes, int at) {
        return (long) LONG.get(bytes, at);
    }

    private static MessageDigest md5() {
        try {
            return MessageDigest.getInstance("MD5");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Every Java platform has MD5.", e);
        }
    }
}
