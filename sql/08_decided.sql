-- What does each slot show them, and why?
CREATE TEMPORARY VIEW decided AS
SELECT
    p.*,
    decide(
        user_key,
        events_total, pages_viewed, steps_completed, features_used, content_shown, content_clicked,
        sessions_total, active_ms,
        events_30m, pages_viewed_30m, steps_completed_30m, features_used_30m, content_shown_30m, content_clicked_30m,
        feature_counts_json,
        p.place.country, p.place.continent, p.place.region, p.place.city,
        p.place.device_type, p.place.os, p.place.browser, p.place.is_bot,
        locale, p.prediction.engagement_score,
        p.prediction.analytics, p.prediction.automation, p.prediction.dashboards,
        p.prediction.integrations, p.prediction.reports, p.prediction.collaboration
    ) AS decision
FROM predicted AS p;
