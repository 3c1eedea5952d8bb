-- Where are they, and on which device?
CREATE TEMPORARY VIEW enriched AS
SELECT
    f.*,
    enrich(ip, user_agent) AS place
FROM features AS f;
