-- What was known when it was decided?  The exact profile row, again, and what a challenger in the shadow said of it:
-- the log that models are trained on.
CREATE TABLE decisions (
    challenger STRING
) WITH (
    'connector' = 'kafka',
    'topic' = 'decisions',
    'properties.bootstrap.servers' = '${kafka}',
    ${kafka_access}
    'properties.linger.ms' = '20',
    'properties.compression.type' = 'lz4',
    'key.format' = 'raw',
    'key.fields' = 'user_id',
    'value.format' = 'json',
    'value.json.timestamp-format.standard' = 'ISO-8601'
) LIKE profiles (EXCLUDING ALL);

INSERT INTO decisions (
    user_id, first_seen, last_seen, updated_at,
    country, continent, region, city, device_type, os, browser, is_bot, locale,
    events_total, pages_viewed, steps_completed, features_used, content_shown, content_clicked,
    sessions_total, active_ms,
    events_30m, pages_viewed_30m, steps_completed_30m, features_used_30m, content_shown_30m, content_clicked_30m,
    feature_counts, engagement_score, preferences, interests, steps, decisions, model_version, rules_version,
    recent, consent, anonymous_ids, challenger
)
SELECT * FROM profile;
