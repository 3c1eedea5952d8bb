package usher.elasticsearch;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.http.entity.ContentType;
import org.apache.http.nio.entity.NByteArrayEntity;
import org.elasticsearch.client.Request;

/** The {@code _bulk} call in the form that Elasticsearch 7.17, 8 and 9 share. */
final class Bulk {
    static final JsonFactory JSON = new JsonFactory();
    private static final ContentType NDJSON = ContentType.create("application/x-ndjson");

    private Bulk() {}

    /** What Elasticsearch said of one document. {@code type} and {@code reason} are null where it took it. */
    record Outcome(int status, String type, String reason) {}

    /**
     * Leaves one action per id: the greatest version, of equals the later. Elasticsearch may run the actions of a
     * bulk on one shard in any order after a retry, and two writes of one id are one write too many anyway.
     */
    static List<Document> collapse(List<Document> documents) {
        Map<String, Document> newest = new LinkedHashMap<>();
        for (Document document : documents) {
            newest.merge(document.id, document, Bulk::newer);
        }
        return new ArrayList<>(newest.values());
    }

    private static Document newer(Document a, Document b) {
        return a.version != null && b.version != null && a.version > b.version ? a : b;
    }

    static Request request(String index, Collection<Document> documents) throws IOException {
        Request request = new Request("POST", "/" + index + "/_bulk");
        request.addParameter("filter_path", "items.*.status,items.*.error.type,items.*.error.reason");
        request.setEntity(new NByteArrayEntity(body(documents), NDJSON));
        return request;
    }

    private static byte[] body(Collection<Document> documents) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (Document document : documents) {
            writeAction(document, bytes);
            bytes.write('\n');
            if (!document.isDelete()) {
                bytes.write(document.body);
                bytes.write('\n');
            }
        }
        return bytes.toByteArray();
    }

    private static void writeAction(Document document, ByteArrayOutputStream bytes) throws IOException {
        try (JsonGenerator json = JSON.createGenerator(bytes)) {
            json.writeStartObject();
            json.writeObjectFieldStart(document.isDelete() ? "delete" : "index");
            json.writeStringField("_id", document.id);
            if (document.version != null) {
                json.writeNumberField("version", document.version);
                // A deletion carries the version of the row it takes back, which is the one stored: "greater" would
                // refuse it.
                json.writeStringField("version_type", document.isDelete() ? "external_gte" : "external");
            }
            json.writeEndObject();
            json.writeEndObject();
        }
    }

    /** Reads the answer to a bulk of {@code expected} documents, in their order. */
    static List<Outcome> outcomes(InputStream answer, int expected) throws IOException {
        List<Outcome> outcomes = new ArrayList<>();
        if (readObject(answer).get("items") instanceof List<?> items) {
            for (Object item : items) {
                outcomes.add(outcome((Map<?, ?>) ((Map<?, ?>) item).values().iterator().next()));
            }
        }
        if (outcomes.size() != expected) {
            throw new IOException("the answer speaks of " + outcomes.size() + " documents instead of " + expected);
        }
        return outcomes;
    }

    /** Reads the answer to a call that was refused as a whole; a proxy's need not be JSON. */
    static Outcome refusal(int status, InputStream answer) {
        try {
            Outcome outcome = outcome(readObject(answer));
            return new Outcome(status, outcome.type, outcome.reason);
        } catch (IOException | RuntimeException e) {
            return new Outcome(status, "unknown", "the answer is not Elasticsearch's JSON");
        }
    }

    private static Outcome outcome(Map<?, ?> item) {
        int status = item.get("status") instanceof Number number ? number.intValue() : 500;
        if (item.get("error") instanceof Map<?, ?> error) {
            return new Outcome(status, String.valueOf(error.get("type")), String.valueOf(error.get("reason")));
        }
        return new Outcome(status, item.containsKey("error") ? String.valueOf(item.get("error")) : null, null);
    }

    private static Map<?, ?> readObject(InputStream in) throws IOException {
        try (JsonParser json = JSON.createParser(in)) {
            json.nextToken();
            return read(json) instanceof Map<?, ?> object ? object : Map.of();
        }
    }

    private static Object read(JsonParser json) throws IOException {
        if (json.currentToken() == JsonToken.START_OBJECT) {
            Map<String, Object> object = new LinkedHashMap<>();
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String name = json.currentName();
                json.nextToken();
                object.put(name, read(json));
            }
            return object;
        }
        if (json.currentToken() == JsonToken.START_ARRAY) {
            List<Object> list = new ArrayList<>();
            while (json.nextToken() != JsonToken.END_ARRAY) {
                list.add(read(json));
            }
            return list;
        }
        return json.currentToken() == JsonToken.VALUE_NUMBER_INT ? (Object) json.getLongValue() : json.getText();
    }
}
