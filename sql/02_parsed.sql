-- What does each record say?  One row a record: its columns, or the error_code and reason for which it is refused.
CREATE TEMPORARY VIEW parsed AS
SELECT
    p.bucket, p.message_id, p.user_key, p.error_code, p.reason,
    p.type, p.event, p.feature, p.happened_at,
    p.ip, p.user_agent, p.locale,
    e.`value`, e.`partition`, e.`offset`, e.record_time
FROM events AS e, LATERAL TABLE(parse_events(e.`value`, e.record_time)) AS p
UNION ALL
SELECT
    0, CAST(NULL AS STRING), CAST(NULL AS STRING), 'clock', CAST(NULL AS STRING),
    CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS BIGINT),
    CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING),
    CAST(NULL AS BYTES), 0, CAST(0 AS BIGINT), beat_time
FROM clock;
