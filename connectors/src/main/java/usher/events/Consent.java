package usher.events;

/** Which category of Segment's consent spec must be granted for a profile, and what its absence means. */
record Consent(String category, boolean optIn) {
    static final String OPT_IN = "opt_in";

    /** {@code agreed} is what a message says of the category; null: nothing. */
    boolean allows(Boolean agreed) {
        return agreed == null ? !optIn : agreed;
    }
}
