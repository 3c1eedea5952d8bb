-- What does each record say?  One row a record: its columns, or the error_code and reason for which it is refused. Of a
-- message without consent only whose it is; a wish to be erased has the error_code `erasure`; a reason alone says that the
-- record is far behind its partition.
CREATE TEMPORARY VIEW parsed AS
SELECT
    bucket, message_id, user_key, error_code, reason,
    type, event, action, happened_at,
    ip, user_agent, locale, consent, record_ms, previous_id,
    CASE WHEN error_code IS NOT NULL OR reason IS NOT NULL THEN `value` END AS `value`, -- else nobody asks for it
    `partition`, `offset`, rowtime AS record_time
FROM parse_events(
    TABLE events, '${consent_category}', '${consent_mode}', CAST(${allowed_lateness_ms} AS BIGINT), DESCRIPTOR(record_time)
)
UNION ALL
SELECT
    0, CAST(NULL AS STRING), CAST(NULL AS STRING), 'clock', CAST(NULL AS STRING),
    CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS BIGINT),
    CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS BIGINT),
    CAST(NULL AS STRING), CAST(NULL AS BYTES), 0, CAST(0 AS BIGINT), beat_time
FROM clock;
