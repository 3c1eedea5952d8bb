-- What did each user do in each short window?  The only place where events are counted; a record without consent has
-- no type.
CREATE TEMPORARY VIEW tiles AS
SELECT
    user_key,
    window_time,
    COUNT(*)                                                   AS records,
    COUNT(type)                                                AS events,
    COUNT(*) FILTER (WHERE type IN ('page', 'screen'))          AS pages_viewed,
    COUNT(*) FILTER (WHERE type = 'track' AND event = 'Onboarding Step Completed') AS steps_completed,
    COUNT(*) FILTER (WHERE type = 'track' AND event = 'Feature Used')              AS features_used,
    COUNT(*) FILTER (WHERE type = 'track' AND event = 'Content Shown')             AS content_shown,
    COUNT(*) FILTER (WHERE type = 'track' AND event = 'Content Clicked')           AS content_clicked,
    LISTAGG(action, U&'\001F')                                 AS actions,
    MIN(happened_at)                                           AS first_happened,
    MAX(happened_at)                                           AS last_happened,
    MIN(record_ms)                                             AS first_record,
    MAX(record_ms)                                             AS last_record,
    MAX(ip)                                                    AS ip,
    MAX(user_agent)                                            AS user_agent,
    MAX(locale)                                                AS locale,
    MAX(consent)                                               AS consent
FROM TABLE(TUMBLE(TABLE admitted, DESCRIPTOR(rowtime), INTERVAL '${tile_s}' SECOND))
WHERE verdict = 'accepted'
GROUP BY user_key, window_start, window_end, window_time;
