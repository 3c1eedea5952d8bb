-- What was not counted, and why?  The record as it came; code, reason and source position in its headers, so that
-- it can be read, mended and sent again.
CREATE TEMPORARY VIEW rejected AS
SELECT
    verdict,
    `value`,
    MAP[
        'error_code',       ENCODE(COALESCE(error_code, verdict), 'UTF-8'),
        'reason',           ENCODE(reason, 'UTF-8'),
        'source_partition', ENCODE(CAST(`partition` AS STRING), 'UTF-8'),
        'source_offset',    ENCODE(CAST(`offset` AS STRING), 'UTF-8'),
        'source_timestamp', ENCODE(CAST(CAST(rowtime AS TIMESTAMP_LTZ(3)) AS STRING), 'UTF-8')
    ] AS headers
FROM admitted
WHERE verdict IN ('quarantined', 'late');

CREATE TABLE events_quarantined (
    `value` BYTES,
    headers MAP<STRING, BYTES> METADATA
) WITH (
    'connector' = 'kafka',
    'topic' = 'events_quarantined',
    'properties.bootstrap.servers' = '${kafka}',
    ${kafka_access}
    'properties.max.request.size' = '4194304',
    'value.format' = 'raw'
);

CREATE TABLE events_late WITH ('topic' = 'events_late') LIKE events_quarantined (OVERWRITING OPTIONS);

INSERT INTO events_quarantined (`value`, headers)
SELECT `value`, headers FROM rejected WHERE verdict = 'quarantined';

INSERT INTO events_late (`value`, headers)
SELECT `value`, headers FROM rejected WHERE verdict = 'late';
