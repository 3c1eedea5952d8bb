package usher.elasticsearch;

import java.util.Collection;
import java.util.List;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.base.sink.AsyncSinkBase;
import org.apache.flink.connector.base.sink.writer.BufferedRequestState;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.table.data.RowData;

/**
 * Writes documents at least once: a checkpoint waits for what is in flight and stores what is still buffered.
 * With external versions a replay changes nothing, so the index ends as if each row had been written once.
 */
public final class ElasticsearchSink extends AsyncSinkBase<RowData, Document> {
    private static final long serialVersionUID = 1L;

    private final ElasticsearchSettings settings;

    ElasticsearchSink(RowConverter converter, ElasticsearchSettings settings) {
        super(converter, settings.maxActions(), settings.maxInFlight(), maxBuffered(settings), settings.maxBytes(),
                settings.flushInterval().toMillis(), settings.maxBytes());
        this.settings = settings;
    }

    /** One more bulk than can be in flight, so that the next one is ready when an answer comes. */
    static int maxBuffered(ElasticsearchSettings settings) {
        return Math.multiplyExact(settings.maxActions(), settings.maxInFlight() + 1);
    }

    @Override
    public ElasticsearchWriter createWriter(WriterInitContext context) {
        return restoreWriter(context, List.of());
    }

    @Override
    public ElasticsearchWriter restoreWriter(WriterInitContext context,
            Collection<BufferedRequestState<Document>> state) {
        return new ElasticsearchWriter(getElementConverter(), context, settings, state);
    }

    @Override
    public SimpleVersionedSerializer<BufferedRequestState<Document>> getWriterStateSerializer() {
        return new Document.Serializer();
    }
}
