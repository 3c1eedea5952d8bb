-- Does it add up?  How many records had each verdict, exact after any restart: read = the sum.
CREATE TABLE ingest (
    verdict STRING,
    code    STRING,
    records BIGINT,
    PRIMARY KEY (verdict, code) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${elasticsearch}',
    ${elasticsearch_access}
    'index' = 'ingest',
    'sink.version.column' = 'records',
    'sink.bulk-flush.interval' = '1s',
    'format' = 'json'
);

-- A verdict that was not seen for long goes on from where it was, so these few sums never expire.
INSERT INTO ingest (verdict, code, records)
SELECT /*+ STATE_TTL('counted' = '0s') */ verdict, code, SUM(n)
FROM (
    SELECT CAST('accepted' AS STRING) AS verdict, CAST('' AS STRING) AS code, events AS n FROM tiles WHERE events > 0
    UNION ALL
    SELECT 'accepted', 'no_consent', records - events FROM tiles WHERE records > events
    UNION ALL
    SELECT CASE verdict WHEN 'erasure' THEN 'accepted' ELSE verdict END, COALESCE(error_code, ''), CAST(1 AS BIGINT)
    FROM admitted
    WHERE verdict NOT IN ('accepted', 'clock')
) AS counted
GROUP BY verdict, code;
