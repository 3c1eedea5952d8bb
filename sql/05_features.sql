-- Who belongs together, and what is known of each user now?  Lifetime sums, the last 30 minutes, sessions; spoken again
-- when they fade. How ids are merged, and why in these steps, is in docs/identity.md.

-- What says that two ids are one person, that somebody refuses, or wants to be erased: rare, and all to one task, ...
CREATE TEMPORARY VIEW refusals AS
SELECT user_key, consent, window_time FROM tiles WHERE SUBSTRING(consent, 14, 1) = 'n';

CREATE TEMPORARY VIEW notices AS
SELECT CAST(0 AS INT) AS hub, previous_id AS id, CAST('link' AS STRING) AS kind, user_key AS target,
    LEAST(happened_at, record_ms) AS since, rowtime AS notice_time
FROM admitted
WHERE verdict = 'accepted' AND previous_id IS NOT NULL
UNION ALL
SELECT CAST(0 AS INT), user_key, CAST('erase' AS STRING), CAST(NULL AS STRING), happened_at, rowtime
FROM admitted
WHERE verdict = 'erasure'
UNION ALL
SELECT CAST(0 AS INT), user_key, CAST('refuse' AS STRING), CAST(NULL AS STRING), since, rowtime
FROM withdrawals(TABLE refusals PARTITION BY user_key, DESCRIPTOR(window_time));

-- ... which tells each id whose it is.
CREATE TEMPORARY VIEW routes AS
SELECT user_key, kind, owner, epoch, members, since, rowtime AS route_time
FROM resolve_ids(TABLE notices PARTITION BY hub, CAST(${state_ttl_ms} AS BIGINT), DESCRIPTOR(notice_time));

CREATE TEMPORARY VIEW turns AS
SELECT
    user_key, events, pages_viewed, steps_completed, features_used, content_shown, content_clicked, actions,
    first_happened, last_happened, first_record, last_record, ip, user_agent, locale, consent,
    CAST(NULL AS STRING) AS kind, CAST(NULL AS STRING) AS owner, CAST(NULL AS BIGINT) AS epoch,
    CAST(NULL AS INT) AS members, CAST(NULL AS BIGINT) AS since, window_time AS turn_time
FROM tiles
WHERE events > 0 OR consent IS NOT NULL -- of whom nothing may be counted, nothing is kept either
UNION ALL
SELECT
    user_key, CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT),
    CAST(0 AS BIGINT), CAST(NULL AS STRING),
    CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT),
    CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS STRING),
    kind, owner, epoch, members, since, route_time
FROM routes;

-- An id alone has its features here; one that belongs to somebody relays what it does to its owner.
CREATE TEMPORARY VIEW rolled AS
SELECT *
FROM roll_features(TABLE turns PARTITION BY user_key, CAST(${state_ttl_ms} AS BIGINT), CAST(${catch_up_ms} AS BIGINT), DESCRIPTOR(turn_time));

CREATE TEMPORARY VIEW relayed AS
SELECT owner, user_key AS sender, kind, epoch, members, emitted, activity, rowtime AS relay_time
FROM rolled
WHERE owner IS NOT NULL;

CREATE TEMPORARY VIEW merged AS
SELECT *
FROM merge_features(TABLE relayed PARTITION BY owner, CAST(${state_ttl_ms} AS BIGINT), CAST(${catch_up_ms} AS BIGINT), DESCRIPTOR(relay_time));

CREATE TEMPORARY VIEW features AS
SELECT
    user_key, first_seen, last_seen,
    events_total, pages_viewed, steps_completed, features_used, content_shown, content_clicked,
    sessions_total, active_ms,
    events_30m, pages_viewed_30m, steps_completed_30m, features_used_30m, content_shown_30m, content_clicked_30m,
    feature_counts, ip, user_agent, locale, recent, consent, anonymous_ids, rowtime
FROM rolled
WHERE owner IS NULL AND gone IS NULL
UNION ALL
SELECT
    owner, first_seen, last_seen,
    events_total, pages_viewed, steps_completed, features_used, content_shown, content_clicked,
    sessions_total, active_ms,
    events_30m, pages_viewed_30m, steps_completed_30m, features_used_30m, content_shown_30m, content_clicked_30m,
    feature_counts, ip, user_agent, locale, recent, consent, anonymous_ids, rowtime
FROM merged
WHERE gone IS NULL;

-- Whose profile must go: of ids that belong to somebody now, of those who refuse, and of those who are erased.
CREATE TEMPORARY VIEW departed AS
SELECT user_key AS user_id, gone AS version FROM rolled WHERE gone IS NOT NULL
UNION ALL
SELECT owner, gone FROM merged WHERE gone IS NOT NULL;
