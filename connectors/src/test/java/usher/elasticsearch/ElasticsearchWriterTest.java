package usher.elasticsearch;

import static org.junit.jupiter.api.Assertions.*;

import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What becomes of each answer, against an in-process server that only plays Elasticsearch. */
class ElasticsearchWriterTest {
    private static final String PUT_OFF = FakeElasticsearch.error(429, "es_rejected_execution_exception", "full");
    private static final String REFUSED = FakeElasticsearch.error(400, "mapper_parsing_exception",
            "failed to parse field [age] in document with id 'a'. Preview of field's value: 'private words'");

    private FakeElasticsearch server;

    @BeforeEach
    void start() throws Exception {
        server = new FakeElasticsearch();
    }

    @AfterEach
    void stop() {
        server.close();
    }

    @Test
    void anOlderVersionIsCountedAndNotWritten() throws Exception {
        server.index.put("a", new FakeElasticsearch.Stored(5, "{\"n\":5}"));
        try (var sink = WriterHarness.settings(server.url()).open()) {
            sink.write("a", 4, "{\"n\":4}").write("b", 1, "{\"n\":1}").flush();
            assertEquals(1, sink.writer.alreadyNewer.getCount());
            assertEquals(1, sink.writer.documentsWritten.getCount());
        }
        assertEquals("{\"n\":5}", server.index.get("a").document());
    }

    @Test
    void onlyWhatWasPutOffIsSentAgain() throws Exception {
        server.answer(200, FakeElasticsearch.items(FakeElasticsearch.taken(), PUT_OFF));
        server.answer(429, "busy");
        try (var sink = WriterHarness.settings(server.url()).open()) {
            sink.write("a", 1, "{}").write("b", 1, "{}").flush();
            assertEquals(2, sink.writer.retries.getCount());
            assertEquals(2, sink.writer.documentsWritten.getCount());
        }
        assertEquals(3, server.calls.size());
        assertTrue(server.calls.stream().skip(1).noneMatch(call -> call.contains("\"_id\":\"a\"")));
        assertTrue(server.index.containsKey("b"));
    }

    @Test
    void aRefusedDocumentIsPutAsideWhole(@TempDir Path directory) throws Exception {
        server.answer(200, FakeElasticsearch.items(REFUSED, FakeElasticsearch.taken()));
        try (var sink = WriterHarness.settings(server.url()).deadLetters(directory.toString()).open()) {
            sink.write("a", 7, "{\"age\":\"private words\"}").write("b", 1, "{}").flush();
            assertEquals(1, sink.writer.deadLettered.getCount());
        }
        List<String> lines = Files.readAllLines(directory.resolve("profiles-0.ndjson"));
        assertEquals(1, lines.size());
        assertTrue(lines.get(0).contains("\"status\":400"), lines.get(0));
        assertTrue(lines.get(0).contains("\"index\":\"profiles\",\"id\":\"a\",\"version\":7"), lines.get(0));
        assertTrue(lines.get(0).endsWith("\"document\":{\"age\":\"private words\"}}"), lines.get(0));
    }

    @Test
    void aBulkRefusedForOneBadIdIsHalvedUntilTheCulpritIsAlone(@TempDir Path directory) throws Exception {
        for (int i = 0; i < 10; i++) {
            server.script.add(call -> call.contains("\"_id\":\"bad\"")
                    ? new FakeElasticsearch.Answer(400, "{\"error\":{\"type\":\"t\",\"reason\":\"id is too long\"}}")
                    : null);
        }
        try (var sink = WriterHarness.settings(server.url()).deadLetters(directory + "/x.ndjson").open()) {
            sink.write("a", 1, "{}").write("b", 1, "{}").write("bad", 1, "{}").write("c", 1, "{}").flush();
            assertEquals(3, sink.writer.documentsWritten.getCount());
        }
        assertEquals(3, server.index.size());
        assertTrue(Files.readString(directory.resolve("x.ndjson")).contains("\"id\":\"bad\""));
    }

    @Test
    void withoutAPlaceForThemARefusedDocumentFailsTheJobAndItsContentStaysOutOfTheLog() throws Exception {
        server.answer(200, FakeElasticsearch.items(REFUSED));
        try (var sink = WriterHarness.settings(server.url()).open()) {
            sink.write("a", 1, "{\"age\":\"private words\"}");
            String said = messages(assertThrows(Exception.class, sink::flush));
            assertTrue(said.contains("failed to parse field [age]"), said);
            assertTrue(said.contains("'sink.dead-letter.path'"), said);
            assertFalse(said.contains("private words"), said);
        }
    }

    @Test
    void aServerThatComesUpLaterGetsEverything() throws Exception {
        int port = freePort();
        try (var sink = WriterHarness.settings("http://127.0.0.1:" + port).open()) {
            sink.write("a", 1, "{}");
            // A second thread waits for the first refused connection, then starts the server.
            CountDownLatch up = new CountDownLatch(1);
            FakeElasticsearch[] late = new FakeElasticsearch[1];
            Thread starter = new Thread(() -> {
                while (sink.writer.retries.getCount() == 0) {
                    Thread.onSpinWait();
                }
                try {
                    late[0] = new FakeElasticsearch(port);
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
                up.countDown();
            });
            starter.start();
            sink.flush();
            assertTrue(up.await(10, TimeUnit.SECONDS));
            assertTrue(late[0].index.containsKey("a"));
            late[0].close();
        }
    }

    @Test
    void afterTheLastRetryTheJobFailsWithHostAndReasonAndWithoutThePassword() throws Exception {
        String down = "http://127.0.0.1:" + freePort();
        try (var sink = WriterHarness.settings(down).retries(2).open()) {
            sink.write("a", 1, "{\"private\":1}");
            String said = messages(assertThrows(Exception.class, sink::flush));
            assertTrue(said.contains(down) && said.contains("refused") && said.contains("2 retries"), said);
            assertFalse(said.contains("s3cret-word") || said.contains("private"), said);
        }
        assertFalse(WriterHarness.settings(down).get().toString().contains("s3cret-word"));
    }

    @Test
    void theOtherHostTakesOver() throws Exception {
        try (var sink = WriterHarness.settings("http://127.0.0.1:" + freePort(), server.url()).open()) {
            for (int i = 0; i < 5; i++) {
                sink.write("id" + i, 1, "{}").flush();
            }
            assertEquals(0, sink.writer.retries.getCount());
        }
        assertEquals(5, server.index.size());
    }

    @Test
    void noAccessFailsAtOnce() throws Exception {
        server.answer(401, "{\"error\":{\"type\":\"security_exception\",\"reason\":\"unable to authenticate\"}}");
        try (var sink = WriterHarness.settings(server.url()).open()) {
            sink.write("a", 1, "{}");
            String said = messages(assertThrows(Exception.class, sink::flush));
            assertTrue(said.contains("does not accept the credentials") && said.contains(server.url()), said);
            assertFalse(said.contains("s3cret-word"), said);
        }
        assertEquals(1, server.calls.size());
    }

    @Test
    void aMissingIndexFailsAtOnceEvenWithDeadLetters(@TempDir Path directory) throws Exception {
        server.answer(200, FakeElasticsearch.items(
                FakeElasticsearch.error(404, "index_not_found_exception", "no such index [profiles]")));
        try (var sink = WriterHarness.settings(server.url()).deadLetters(directory.toString()).open()) {
            sink.write("a", 1, "{}");
            String said = messages(assertThrows(Exception.class, sink::flush));
            assertTrue(said.contains("index 'profiles', has no such index"), said);
        }
    }

    @Test
    void oneIdPerBulkAndTheGreatestVersionWins() throws Exception {
        try (var sink = WriterHarness.settings(server.url()).open()) {
            sink.write("a", 2, "{\"n\":2}").write("a", 3, "{\"n\":3}").write("a", 1, "{\"n\":1}").flush();
            assertEquals(2, sink.writer.alreadyNewer.getCount());
        }
        assertEquals(List.of("{\"index\":{\"_id\":\"a\",\"version\":3,\"version_type\":\"external\"}}\n{\"n\":3}\n"),
                List.copyOf(server.calls));
    }

    @Test
    void aCheckpointLosesNeitherWhatIsInFlightNorWhatIsBuffered() throws Exception {
        CountDownLatch checkpointing = new CountDownLatch(1);
        server.script.add(call -> {
            await(checkpointing);
            return new FakeElasticsearch.Answer(429, "busy");
        });
        var settings = WriterHarness.settings(server.url()).maxActions(2);
        try (var first = settings.open()) {
            first.write("a", 1, "{\"n\":1}").write("b", 2, "{\"n\":2}"); // a full bulk leaves, and waits
            first.write("c", 3, "{\"n\":3}"); // stays in the buffer
            assertNotNull(server.calls.poll(10, TimeUnit.SECONDS));
            checkpointing.countDown();
            first.writer.flush(false); // what Flink calls before a checkpoint
            var state = first.snapshot();
            server.index.clear(); // as if nothing since the checkpoint had happened
            int kept = state.get(0).getBufferedRequestEntries().size();
            assertTrue(kept >= 1, "buffer at the checkpoint");
            try (var second = new WriterHarness(settings.get(), state)) {
                second.flush();
            }
            assertEquals(kept, server.index.size());
            assertEquals(3, kept + first.writer.documentsWritten.getCount());
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            assertTrue(latch.await(10, TimeUnit.SECONDS));
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static int freePort() throws Exception {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    private static String messages(Throwable e) {
        StringBuilder all = new StringBuilder();
        for (Throwable t = e; t != null; t = t.getCause()) {
            all.append(t).append('\n');
        }
        return all.toString();
    }
}
