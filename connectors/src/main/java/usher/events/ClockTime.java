package usher.events;

import java.time.Instant;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * clock_time(grace_s): now, but 1970 for the first seconds after each start of the operator, also after a failover. A
 * backlog in Kafka that has not been fetched yet must not be made late by a clock that is ahead of it.
 */
public class ClockTime extends ScalarFunction {
    private transient long started;

    @Override
    public void open(FunctionContext context) {
        started = System.currentTimeMillis();
    }

    public @DataTypeHint("TIMESTAMP_LTZ(3)") Instant eval(Integer graceSeconds) {
        long now = System.currentTimeMillis();
        return now - started < graceSeconds * 1000L ? Instant.EPOCH : Instant.ofEpochMilli(now);
    }

    @Override
    public boolean isDeterministic() {
        return false;
    }
}
