package usher.events;

import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.types.Row;

/**
 * Of all the messages that refuse consent, which may be half of the stream, one an id and minute: {@link ResolveIds},
 * which must tell the person's other ids, is a single task.
 */
@FunctionHint(output = @DataTypeHint("ROW<since BIGINT>"))
public class Withdrawals extends ProcessTableFunction<Row> {
    private static final long MINUTE = 60_000L;

    /** When this id was last spoken of. */
    public static class Said {
        public long at;
    }

    public void eval(
            Context context, @StateHint Said said, @ArgumentHint({SET_SEMANTIC_TABLE, REQUIRE_ON_TIME}) Row refusal) {
        long now = context.timeContext(Long.class).time();
        if (now - said.at >= MINUTE) {
            said.at = now;
            collect(Row.of(Long.valueOf(refusal.<String>getFieldAs("consent").substring(0, 13))));
        }
    }
}
