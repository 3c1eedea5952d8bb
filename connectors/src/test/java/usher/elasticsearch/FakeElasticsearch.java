package usher.elasticsearch;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A tiny HTTP server that plays Elasticsearch's _bulk, external versions included. It is not Elasticsearch. */
final class FakeElasticsearch implements AutoCloseable {
    record Answer(int status, String body) {}

    record Stored(long version, String document) {}

    private static final Pattern ID = Pattern.compile("\"_id\":\"([^\"]*)\"");
    private static final Pattern VERSION = Pattern.compile("\"version\":(-?\\d+)");

    /** Bodies of the calls, in order of arrival. */
    final BlockingQueue<String> calls = new LinkedBlockingQueue<>();
    final Queue<String> authorizations = new ConcurrentLinkedQueue<>();
    final Map<String, Stored> index = new ConcurrentHashMap<>();
    private final Map<String, Long> deleted = new ConcurrentHashMap<>();
    /** What to say to the next calls instead of storing; one that returns null lets the call through. */
    final Queue<Function<String, Answer>> script = new ConcurrentLinkedQueue<>();

    private final HttpServer server;

    FakeElasticsearch() throws IOException {
        this(0);
    }

    FakeElasticsearch(int port) throws IOException {
        server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/profiles/_bulk", this::handle);
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
    }

    int port() {
        return server.getAddress().getPort();
    }

    String url() {
        return "http://127.0.0.1:" + port();
    }

    void answer(int status, String body) {
        script.add(call -> new Answer(status, body));
    }

    private void handle(HttpExchange exchange) throws IOException {
        String call = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        String authorization = exchange.getRequestHeaders().getFirst("Authorization");
        authorizations.add(authorization == null ? "" : authorization);
        calls.add(call);
        Function<String, Answer> next = script.poll();
        Answer answer = next == null ? null : next.apply(call);
        answer = answer == null ? new Answer(200, store(call)) : answer;
        byte[] bytes = answer.body().getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().add("Content-Type", "application/json");
        exchange.sendResponseHeaders(answer.status(), bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }

    private synchronized String store(String call) {
        StringBuilder items = new StringBuilder();
        String[] lines = call.split("\n");
        for (int i = 0; i < lines.length; i++) {
            boolean delete = lines[i].startsWith("{\"delete\"");
            Matcher id = ID.matcher(lines[i]);
            Matcher version = VERSION.matcher(lines[i]);
            id.find();
            long number = version.find() ? Long.parseLong(version.group(1)) : Long.MAX_VALUE;
            String document = delete ? null : lines[++i];
            items.append(items.isEmpty() ? "" : ",").append(item(delete, apply(id.group(1), number, document)));
        }
        return "{\"items\":[" + items + "]}";
    }

    /** Like the real one, it remembers the version of a deletion, so that an older write cannot come after it. */
    private int apply(String id, long version, String document) {
        Long stored = index.containsKey(id) ? (Long) index.get(id).version() : deleted.get(id);
        boolean newer = stored == null || version == Long.MAX_VALUE || version > stored
                || document == null && version == stored;
        if (!newer) {
            return 409;
        }
        if (document == null) {
            deleted.put(id, version);
            return index.remove(id) == null ? 404 : 200;
        }
        deleted.remove(id);
        index.put(id, new Stored(version, document));
        return 201;
    }

    private static String item(boolean delete, int status) {
        String error = status == 409 ? ",\"error\":{\"type\":\"version_conflict_engine_exception\",\"reason\":\"r\"}" : "";
        return "{\"" + (delete ? "delete" : "index") + "\":{\"status\":" + status + error + "}}";
    }

    static String items(String... items) {
        return "{\"items\":[" + String.join(",", items) + "]}";
    }

    static String taken() {
        return item(false, 201);
    }

    static String error(int status, String type, String reason) {
        return "{\"index\":{\"status\":" + status + ",\"error\":{\"type\":\"" + type + "\",\"reason\":\"" + reason
                + "\"}}}";
    }

    @Override
    public void close() {
        server.stop(0);
    }
}
