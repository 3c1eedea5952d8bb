-- Who is this user?  One document each, found by id in milliseconds.
CREATE TEMPORARY VIEW profile AS
SELECT
    user_key AS user_id,
    first_seen, last_seen, CAST(rowtime AS TIMESTAMP_LTZ(3)) AS updated_at,
    u.answer.country, u.answer.continent, u.answer.region, u.answer.city,
    u.answer.device_type, u.answer.os, u.answer.browser, u.answer.is_bot, locale,
    events_total, pages_viewed, steps_completed, features_used, content_shown, content_clicked,
    sessions_total, active_ms,
    events_30m, pages_viewed_30m, steps_completed_30m, features_used_30m, content_shown_30m, content_clicked_30m,
    feature_counts,
    u.answer.engagement_score AS engagement_score,
    CAST(ROW(
        u.answer.analytics, u.answer.automation, u.answer.dashboards,
        u.answer.integrations, u.answer.reports, u.answer.collaboration
    ) AS ROW<analytics DOUBLE, automation DOUBLE, dashboards DOUBLE,
             integrations DOUBLE, reports DOUBLE, collaboration DOUBLE>) AS preferences,
    ARRAY[u.answer.interest_1, u.answer.interest_2, u.answer.interest_3] AS interests,
    u.answer.steps AS steps,
    CAST(ROW(
        ROW(u.answer.welcome_message_content, u.answer.welcome_message_rule, u.answer.welcome_message_reason),
        ROW(u.answer.next_step_content, u.answer.next_step_rule, u.answer.next_step_reason),
        ROW(u.answer.feature_highlight_content, u.answer.feature_highlight_rule, u.answer.feature_highlight_reason)
    ) AS ROW<welcome_message ROW<content STRING, `rule` STRING, reason STRING>,
             next_step ROW<content STRING, `rule` STRING, reason STRING>,
             feature_highlight ROW<content STRING, `rule` STRING, reason STRING>>) AS decisions,
    u.answer.model_version AS model_version,
    u.answer.rules_version AS rules_version,
    recent, consent, anonymous_ids,
    u.answer.challenger AS challenger
FROM answered AS u;

CREATE TABLE profiles (
    user_id STRING,
    first_seen TIMESTAMP_LTZ(3), last_seen TIMESTAMP_LTZ(3), updated_at TIMESTAMP_LTZ(3),
    country STRING, continent STRING, region STRING, city STRING,
    device_type STRING, os STRING, browser STRING, is_bot BOOLEAN, locale STRING,
    events_total BIGINT, pages_viewed BIGINT, steps_completed BIGINT,
    features_used BIGINT, content_shown BIGINT, content_clicked BIGINT,
    sessions_total BIGINT, active_ms BIGINT,
    events_30m BIGINT, pages_viewed_30m BIGINT, steps_completed_30m BIGINT,
    features_used_30m BIGINT, content_shown_30m BIGINT, content_clicked_30m BIGINT,
    feature_counts MAP<STRING, BIGINT>,
    engagement_score DOUBLE,
    preferences ROW<analytics DOUBLE, automation DOUBLE, dashboards DOUBLE,
                    integrations DOUBLE, reports DOUBLE, collaboration DOUBLE>,
    interests ARRAY<DOUBLE>,
    steps ARRAY<STRING>,
    decisions ROW<welcome_message ROW<content STRING, `rule` STRING, reason STRING>,
                  next_step ROW<content STRING, `rule` STRING, reason STRING>,
                  feature_highlight ROW<content STRING, `rule` STRING, reason STRING>>,
    model_version STRING,
    rules_version STRING,
    recent STRING, consent STRING, anonymous_ids ARRAY<STRING>,
    PRIMARY KEY (user_id) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${elasticsearch}',
    ${elasticsearch_access}
    'index' = '${profiles_index}',
    'sink.version.column' = 'updated_at',
    'sink.bulk-flush.interval' = '100ms',
    'sink.max-in-flight-requests' = '8',
    'sink.dead-letter.path' = '${dead_letters}',
    'format' = 'json',
    'json.timestamp-format.standard' = 'ISO-8601'
);

INSERT INTO profiles (
    user_id, first_seen, last_seen, updated_at,
    country, continent, region, city, device_type, os, browser, is_bot, locale,
    events_total, pages_viewed, steps_completed, features_used, content_shown, content_clicked,
    sessions_total, active_ms,
    events_30m, pages_viewed_30m, steps_completed_30m, features_used_30m, content_shown_30m, content_clicked_30m,
    feature_counts, engagement_score, preferences, interests, steps, decisions, model_version, rules_version,
    recent, consent, anonymous_ids
)
SELECT
    user_id, first_seen, last_seen, updated_at,
    country, continent, region, city, device_type, os, browser, is_bot, locale,
    events_total, pages_viewed, steps_completed, features_used, content_shown, content_clicked,
    sessions_total, active_ms,
    events_30m, pages_viewed_30m, steps_completed_30m, features_used_30m, content_shown_30m, content_clicked_30m,
    feature_counts, engagement_score, preferences, interests, steps, decisions, model_version, rules_version,
    recent, consent, anonymous_ids
FROM profile;
