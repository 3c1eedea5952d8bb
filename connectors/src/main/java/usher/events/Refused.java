package usher.events;

/** A record that breaks the event contract: a code for machines, a sentence for people. */
final class Refused extends RuntimeException {
    final String code;

    Refused(String code, String reason) {
        super(reason, null, false, false);
        this.code = code;
    }
}
