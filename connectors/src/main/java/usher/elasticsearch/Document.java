package usher.elasticsearch;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import org.apache.flink.connector.base.sink.writer.AsyncSinkWriterStateSerializer;

/** One bulk action: a whole document to index or, without a body, an id to delete. */
final class Document implements Serializable {
    private static final long serialVersionUID = 1L;
    private static final int ACTION_LINE_BYTES = 80;

    final String id;
    /** The external version, or null where the table names no version column. */
    final Long version;
    /** The JSON body; null deletes. */
    final byte[] body;
    /** How often Elasticsearch has put it off. Not kept in a checkpoint: a restored job starts afresh. */
    transient int attempts;

    Document(String id, Long version, byte[] body) {
        this.id = id;
        this.version = version;
        this.body = body;
    }

    boolean isDelete() {
        return body == null;
    }

    long sizeInBytes() {
        return ACTION_LINE_BYTES + id.length() + (body == null ? 0 : body.length);
    }

    /** Writes the entries that a checkpoint finds in the buffer. */
    static final class Serializer extends AsyncSinkWriterStateSerializer<Document> {
        @Override
        protected void serializeRequestToStream(Document document, DataOutputStream out) throws IOException {
            // Not writeUTF, which refuses an id beyond 64 kB: that is for Elasticsearch to refuse.
            writeBytes(out, document.id.getBytes(StandardCharsets.UTF_8));
            out.writeBoolean(document.version != null);
            if (document.version != null) {
                out.writeLong(document.version);
            }
            out.writeBoolean(document.body != null);
            if (document.body != null) {
                writeBytes(out, document.body);
            }
        }

        @Override
        protected Document deserializeRequestFromStream(long size, DataInputStream in) throws IOException {
            String id = new String(readBytes(in), StandardCharsets.UTF_8);
            Long version = in.readBoolean() ? (Long) in.readLong() : null;
            byte[] body = in.readBoolean() ? readBytes(in) : null;
            return new Document(id, version, body);
        }

        @Override
        public int getVersion() {
            return 1;
        }

        private static void writeBytes(DataOutputStream out, byte[] bytes) throws IOException {
            out.writeInt(bytes.length);
            out.write(bytes);
        }

        private static byte[] readBytes(DataInputStream in) throws IOException {
            byte[] bytes = new byte[in.readInt()];
            in.readFully(bytes);
            return bytes;
        }
    }
}
