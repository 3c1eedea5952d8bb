-- What does each record say?  One row a record: its columns, or the error_code and reason for which it is refused.
CREATE TEMPORARY VIEW parsed AS
SELECT
    bucket, message_id, user_key, error_code, reason,
    type, event, feature, happened_at,
    ip, user_agent, locale, record_ms,
    `value`, `partition`, `offset`, rowtime AS record_time
FROM parse_events(TABLE events, DESCRIPTOR(record_time))
UNION ALL
SELECT
    0, CAST(NULL AS STRING), CAST(NULL AS STRING), 'clock', CAST(NULL AS STRING),
    CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS BIGINT),
    CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS BIGINT),
    CAST(NULL AS BYTES), 0, CAST(0 AS BIGINT), beat_time
FROM clock;
