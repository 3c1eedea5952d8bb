-- What will they prefer, and how engaged are they?
CREATE TEMPORARY VIEW predicted AS
SELECT
    e.*,
    predict(
        events_total, pages_viewed, steps_completed, features_used, content_shown, content_clicked,
        sessions_total, active_ms,
        events_30m, pages_viewed_30m, steps_completed_30m, features_used_30m, content_shown_30m, content_clicked_30m,
        feature_counts_json, e.place.device_type, e.place.continent
    ) AS prediction
FROM enriched AS e;
