-- Where are they, what will they prefer, and what does each slot show them?  One call into Python for each batch of rows:
-- `enrich`, then `predict`, then `decide` (udfs/personalize.py).
CREATE TEMPORARY VIEW answered AS
SELECT
    f.*,
    personalize(
        `at`, user_key,
        events_total, pages_viewed, steps_completed, features_used, content_shown, content_clicked,
        sessions_total, active_ms,
        events_30m, pages_viewed_30m, steps_completed_30m, features_used_30m, content_shown_30m, content_clicked_30m,
        COALESCE(feature_counts['analytics'], 0), COALESCE(feature_counts['automation'], 0),
        COALESCE(feature_counts['dashboards'], 0), COALESCE(feature_counts['integrations'], 0),
        COALESCE(feature_counts['reports'], 0), COALESCE(feature_counts['collaboration'], 0),
        ip, user_agent, locale, recent, consent
    ) AS answer
FROM one_stream(TABLE features, DESCRIPTOR(rowtime)) AS f;
