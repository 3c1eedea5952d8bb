package usher.elasticsearch;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;

/** Appends refused documents to a local NDJSON file, one object a line. */
final class DeadLetters {
    private final Path file;
    private final String index;

    /** A path that does not end in .ndjson is a directory, in which each subtask has its own file. */
    DeadLetters(String path, String index, int subtask) {
        this.index = index;
        this.file = path.endsWith(".ndjson") ? Path.of(path) : Path.of(path, index + "-" + subtask + ".ndjson");
    }

    /** Returns once the line is on disk: after that, nobody else will remember the document. */
    synchronized void append(Document document, Bulk.Outcome outcome) throws IOException {
        Path parent = file.toAbsolutePath().getParent();
        Files.createDirectories(parent);
        Files.write(file, line(document, outcome), StandardOpenOption.CREATE, StandardOpenOption.APPEND,
                StandardOpenOption.DSYNC);
    }

    private byte[] line(Document document, Bulk.Outcome outcome) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = Bulk.JSON.createGenerator(bytes)) {
            json.writeStartObject();
            json.writeStringField("refused_at", Instant.now().toString());
            json.writeNumberField("status", outcome.status());
            json.writeStringField("type", outcome.type());
            json.writeStringField("reason", outcome.reason());
            json.writeStringField("index", index);
            json.writeStringField("id", document.id);
            json.writeObjectField("version", document.version);
            json.writeFieldName("document");
            json.writeRawValue(document.isDelete() ? "null" : new String(document.body, StandardCharsets.UTF_8));
            json.writeEndObject();
        }
        bytes.write('\n');
        return bytes.toByteArray();
    }
}
