-- Which records count?  Each has one verdict: accepted, duplicate, late or quarantined. One that comes after its window
-- was closed counts in the window of now, unless its own partition had left it behind: that is late.
CREATE TEMPORARY VIEW admitted AS
SELECT *
FROM admit_events(TABLE parsed PARTITION BY bucket, ${tile_ms}, CAST(${allowed_lateness_ms} AS BIGINT), DESCRIPTOR(record_time));
