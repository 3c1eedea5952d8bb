package usher.events;

import static org.apache.flink.table.annotation.ArgumentTrait.PASS_COLUMNS_THROUGH;
import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.ROW_SEMANTIC_TABLE;

import java.time.LocalDateTime;
import java.time.ZoneOffset;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.types.Row;

/**
 * one_stream(TABLE features, DESCRIPTOR(rowtime)): each row as it is, and its time in UTC for Python. Flink moves what is
 * SELECTed from a UNION into both of its branches, the call into Python too; through this it cannot.
 */
@FunctionHint(output = @DataTypeHint("ROW<`at` TIMESTAMP(3)>"))
public class OneStream extends ProcessTableFunction<Row> {
    public void eval(
            Context context, @ArgumentHint({ROW_SEMANTIC_TABLE, REQUIRE_ON_TIME, PASS_COLUMNS_THROUGH}) Row row) {
        long at = context.timeContext(Long.class).time();
        collect(Row.of(LocalDateTime.ofEpochSecond(
                Math.floorDiv(at, 1000L), (int) Math.floorMod(at, 1000L) * 1_000_000, ZoneOffset.UTC)));
    }
}
