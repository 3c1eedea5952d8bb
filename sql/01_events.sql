-- What arrives?  Kafka records as they are, and a clock that ticks when nothing arrives.

-- Window time is the record's own timestamp; the collector writes receivedAt there. A record from the future does not
-- carry time with it: those after it would all be late.
CREATE TABLE events (
    `value`     BYTES,
    record_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',
    `partition` INT METADATA VIRTUAL,
    `offset`    BIGINT METADATA VIRTUAL,
    headers     MAP<STRING, BYTES> METADATA VIRTUAL,
    WATERMARK FOR record_time AS
        CASE WHEN record_time < CURRENT_TIMESTAMP + INTERVAL '1' HOUR
             THEN LEAST(record_time, CURRENT_TIMESTAMP) - INTERVAL '${out_of_orderness_s}' SECOND END
) WITH (
    'connector' = 'kafka',
    'topic' = 'events',
    'properties.bootstrap.servers' = '${kafka}',
    ${kafka_access}
    'properties.group.id' = '${group_id}',
    ${startup}
    'scan.bounded.mode' = '${bounded_mode}',
    'scan.watermark.idle-timeout' = '${idle_timeout}',
    'value.format' = 'raw'
);

-- A lone newcomer's window must close without a next event: five beats a second carry time forward. When history is
-- reprocessed there is one beat only, and the events carry time alone. It holds still while the job starts: a backlog
-- that has not been fetched yet is not late.
CREATE TABLE clock (
    beat_time TIMESTAMP_LTZ(3),
    WATERMARK FOR beat_time AS beat_time - INTERVAL '${clock_lag_s}' SECOND
) WITH (
    'connector' = 'clock',
    ${clock_beats}
    'beats-per-second' = '5',
    'grace' = '${clock_grace_s} s'
);
