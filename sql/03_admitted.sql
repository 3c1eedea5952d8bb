-- Which records count?  Each has one verdict: accepted, duplicate, late or quarantined.
CREATE TEMPORARY VIEW admitted AS
SELECT *
FROM admit_events(TABLE parsed PARTITION BY bucket, ${tile_ms}, DESCRIPTOR(record_time));
