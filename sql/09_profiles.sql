-- Who is this user?  One document each, found by id in milliseconds.
CREATE TEMPORARY VIEW profile AS
SELECT
    user_key AS user_id,
    first_seen, last_seen, CAST(rowtime AS TIMESTAMP_LTZ(3)) AS updated_at,
    d.place.country, d.place.continent, d.place.region, d.place.city,
    d.place.device_type, d.place.os, d.place.browser, d.place.is_bot, locale,
    events_total, pages_viewed, steps_completed, features_used, content_shown, content_clicked,
    sessions_total, active_ms,
    events_30m, pages_viewed_30m, steps_completed_30m, features_used_30m, content_shown_30m, content_clicked_30m,
    feature_counts,
    d.prediction.engagement_score AS engagement_score,
    CAST(ROW(
        d.prediction.analytics, d.prediction.automation, d.prediction.dashboards,
        d.prediction.integrations, d.prediction.reports, d.prediction.collaboration
    ) AS ROW<analytics DOUBLE, automation DOUBLE, dashboards DOUBLE,
             integrations DOUBLE, reports DOUBLE, collaboration DOUBLE>) AS preferences,
    d.decision.steps AS steps,
    CAST(ROW(
        ROW(d.decision.welcome_message_content, d.decision.welcome_message_rule, d.decision.welcome_message_reason),
        ROW(d.decision.next_step_content, d.decision.next_step_rule, d.decision.next_step_reason),
        ROW(d.decision.feature_highlight_content, d.decision.feature_highlight_rule, d.decision.feature_highlight_reason)
    ) AS ROW<welcome_message ROW<content STRING, `rule` STRING, reason STRING>,
             next_step ROW<content STRING, `rule` STRING, reason STRING>,
             feature_highlight ROW<content STRING, `rule` STRING, reason STRING>>) AS decisions,
    d.prediction.model_version AS model_version,
    d.decision.rules_version AS rules_version
FROM decided AS d;

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
    steps ARRAY<STRING>,
    decisions ROW<welcome_message ROW<content STRING, `rule` STRING, reason STRING>,
                  next_step ROW<content STRING, `rule` STRING, reason STRING>,
                  feature_highlight ROW<content STRING, `rule` STRING, reason STRING>>,
    model_version STRING,
    rules_version STRING,
    PRIMARY KEY (user_id) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${elasticsearch}',
    'index' = 'profiles',
    'sink.version.column' = 'updated_at',
    'sink.bulk-flush.interval' = '100ms',
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
    feature_counts, engagement_score, preferences, steps, decisions, model_version, rules_version
)
SELECT * FROM profile;
