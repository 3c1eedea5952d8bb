package usher.elasticsearch;

import java.io.Serializable;
import java.time.Duration;
import java.util.List;

/** The checked options of one table, as the tasks need them. */
record ElasticsearchSettings(
        List<String> hosts,
        String pathPrefix,
        String index,
        String username,
        String password,
        String apiKey,
        String certificateAuthority,
        int maxActions,
        long maxBytes,
        Duration flushInterval,
        int maxInFlight,
        int maxRetries,
        Duration retryDelay,
        Duration poolTimeout,
        Duration connectTimeout,
        Duration socketTimeout,
        String deadLetterPath,
        boolean versionIsTime)
        implements Serializable {

    /** A record would print its password into any log line that mentions it. */
    @Override
    public String toString() {
        return "Elasticsearch index '" + index + "' at " + String.join(";", hosts);
    }
}
