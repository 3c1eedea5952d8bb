package usher.events;

import java.time.DateTimeException;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.TemporalAccessor;

/** ISO-8601 times as milliseconds since 1970. */
final class Timestamps {
    /** Not written the way that {@link #utc} reads. */
    static final long OTHER = Long.MIN_VALUE;

    private static final int SECONDS_END = "2026-01-31T09:30:00".length();
    private static final int MAX_DIGITS = 9;

    private Timestamps() {}

    /** Any ISO-8601 date and time; without an offset it is UTC. */
    static long iso(String text) {
        TemporalAccessor parsed =
                DateTimeFormatter.ISO_DATE_TIME.parseBest(text, OffsetDateTime::from, LocalDateTime::from);
        return parsed instanceof OffsetDateTime offset
                ? offset.toInstant().toEpochMilli()
                : ((LocalDateTime) parsed).toInstant(ZoneOffset.UTC).toEpochMilli();
    }

    /**
     * The same of what every SDK writes, {@code 2026-01-31T09:30:00.000Z}, with none to nine decimals; else OTHER. Java's
     * formatter took a third of the parser's time (docs/speed.md).
     */
    static long utc(String text) {
        int end = text.length() - 1;
        if (end < SECONDS_END || text.charAt(end) != 'Z' || text.charAt(4) != '-' || text.charAt(7) != '-'
                || text.charAt(10) != 'T' || text.charAt(13) != ':' || text.charAt(16) != ':') {
            return OTHER;
        }
        int year = number(text, 0, 4);
        int hour = number(text, 11, 13);
        int minute = number(text, 14, 16);
        int second = number(text, 17, SECONDS_END);
        long millis = decimals(text, end);
        if (year < 0 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || millis < 0) {
            return OTHER;
        }
        try {
            long days = LocalDate.of(year, number(text, 5, 7), number(text, 8, 10)).toEpochDay();
            return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis;
        } catch (DateTimeException noSuchDay) {
            return OTHER;
        }
    }

    private static long decimals(String text, int end) {
        if (end == SECONDS_END) {
            return 0;
        }
        int digits = end - SECONDS_END - 1;
        if (text.charAt(SECONDS_END) != '.' || digits < 1 || digits > MAX_DIGITS
                || number(text, SECONDS_END + 1, end) < 0) {
            return -1;
        }
        int millis = number(text, SECONDS_END + 1, Math.min(end, SECONDS_END + 4));
        return digits == 1 ? millis * 100 : digits == 2 ? millis * 10 : millis;
    }

    /** -1 if there is anything but digits. */
    private static int number(String text, int from, int to) {
        int number = 0;
        for (int i = from; i < to; i++) {
            int digit = text.charAt(i) - '0';
            if (digit < 0 || digit > 9) {
                return -1;
            }
            number = number * 10 + digit;
        }
        return number;
    }
}
