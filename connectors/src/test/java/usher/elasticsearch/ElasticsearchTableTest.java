package usher.elasticsearch;

import static org.junit.jupiter.api.Assertions.*;

import java.util.concurrent.TimeUnit;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The sink as SQL sees it, on Flink's local cluster, against a server that only plays Elasticsearch. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class ElasticsearchTableTest {
    private static final String TABLE = "CREATE TABLE profiles (user_id STRING, part INT, seen_at TIMESTAMP_LTZ(3),"
            + " events_total BIGINT, PRIMARY KEY (user_id, part) NOT ENFORCED) WITH ('connector' = 'elasticsearch',"
            + " 'index' = 'profiles', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601', %s)";

    private final TableEnvironment flink = TableEnvironment.create(EnvironmentSettings.inStreamingMode());

    @Test
    void rowsBecomeVersionedDocuments() throws Exception {
        flink.getConfig().setLocalTimeZone(java.time.ZoneId.of("Asia/Tokyo")); // documents are in UTC all the same
        try (FakeElasticsearch server = new FakeElasticsearch()) {
            flink.executeSql(TABLE.formatted("'hosts' = '" + server.url() + "', 'sink.version.column' = 'seen_at',"
                    + " 'api-key' = 'a2V5', 'document-id.key-delimiter' = '|'"));
            flink.executeSql("INSERT INTO profiles (user_id, part, seen_at, events_total) VALUES"
                    + " ('ada', 1, TO_TIMESTAMP_LTZ(1700000000123, 3), CAST(7 AS BIGINT)),"
                    + " ('bob', 2, TO_TIMESTAMP_LTZ(1700000000000, 3), CAST(NULL AS BIGINT))").await();
            var ada = server.index.get("ada|1");
            assertEquals(1700000000123L, ada.version());
            assertEquals("{\"user_id\":\"ada\",\"part\":1,\"seen_at\":\"2023-11-14T22:13:20.123Z\",\"events_total\":7}",
                    ada.document());
            assertEquals(2, server.index.size());
            assertEquals("ApiKey a2V5", server.authorizations.peek());
        }
    }

    @Test
    void updatesAndDeletionsFollowTheQuery() throws Exception {
        try (FakeElasticsearch server = new FakeElasticsearch()) {
            flink.executeSql("CREATE TABLE counts (user_id STRING, n BIGINT, PRIMARY KEY (user_id) NOT ENFORCED) WITH ("
                    + "'connector' = 'elasticsearch', 'index' = 'profiles', 'format' = 'json', 'hosts' = '"
                    + server.url() + "', 'sink.version.column' = 'n', 'sink.version.exclude' = 'true',"
                    + " 'sink.bulk-flush.max-actions' = '1')");
            flink.executeSql("INSERT INTO counts (user_id, n) SELECT u, n FROM (SELECT u, COUNT(*) AS n FROM (VALUES"
                    + " ('ada'), ('bob'), ('ada'), ('bob'), ('bob')) AS t(u) GROUP BY u) WHERE n < 3").await();
            assertEquals(java.util.Set.of("ada"), server.index.keySet()); // bob came to three and was taken back
            assertEquals(new FakeElasticsearch.Stored(2, "{\"user_id\":\"ada\"}"), server.index.get("ada"));
        }
    }

    @Test
    void aTableOfDeletionsRemovesWhatIsNotNewer() throws Exception {
        try (FakeElasticsearch server = new FakeElasticsearch()) {
            String table = "CREATE TABLE %s (id STRING, version BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' ="
                    + " 'elasticsearch', 'index' = 'profiles', 'format' = 'json', 'hosts' = '" + server.url()
                    + "', 'sink.version.column' = 'version'%s)";
            flink.executeSql(table.formatted("written", ""));
            flink.executeSql(table.formatted("gone", ", 'sink.delete' = 'true'"));
            flink.executeSql("INSERT INTO written (id, version) VALUES ('ada', 5), ('bob', 5), ('eve', 5)").await();
            flink.executeSql("INSERT INTO gone (id, version) VALUES ('ada', 5), ('bob', 4), ('zoe', 9)").await();
            assertEquals(java.util.Set.of("bob", "eve"), server.index.keySet());
        }
    }

    @Test
    void allProblemsAreSaidAtOnceAndSecretsAreNot() {
        String said = refusal("'hosts' = 'http://me:s3cret-word@es:9200', 'username' = 'me',"
                + " 'sink.version.column' = 'user_id', 'sink.bulk-flush.max-actions' = '0'");
        assertTrue(said.contains("must not hold a password"), said);
        assertTrue(said.contains("'username' and 'password' go together"), said);
        assertTrue(said.contains("version column 'user_id' is STRING") || said.contains("is VARCHAR"), said);
        assertTrue(said.contains("'sink.bulk-flush.max-actions' must be greater than zero"), said);
        assertFalse(said.contains("- 'hosts' holds"), said);
    }

    @Test
    void anUnknownOptionIsRefusedAndThePasswordIsNotShown() {
        String said = refusal("'hosts' = 'http://es:9200', 'sink.bulk-flush.max-action' = '5', 'username' = 'me',"
                + " 'password' = 's3cret-word'");
        assertTrue(said.contains("sink.bulk-flush.max-action\n") && said.contains("Unsupported options"), said);
        assertFalse(said.contains("s3cret-word"), said);
    }

    @Test
    void severalBulksAtOnceNeedAVersion() {
        String said = refusal("'hosts' = 'http://es:9200', 'sink.max-in-flight-requests' = '2'");
        assertTrue(said.contains("needs 'sink.version.column'"), said);
    }

    private String refusal(String options) {
        flink.executeSql(TABLE.formatted(options));
        Throwable e = assertThrows(Exception.class, () -> flink.explainSql("INSERT INTO profiles (user_id, part,"
                + " seen_at, events_total) VALUES ('a', 1, TO_TIMESTAMP_LTZ(1, 3), CAST(1 AS BIGINT))"));
        StringBuilder all = new StringBuilder();
        for (; e != null; e = e.getCause()) {
            all.append(e.getMessage()).append('\n');
        }
        return all.toString();
    }
}
