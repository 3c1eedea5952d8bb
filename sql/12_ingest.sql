-- Does it add up?  How many records had each verdict, exact after any restart: read = the sum.
CREATE TABLE ingest (
    verdict STRING,
    code    STRING,
    records BIGINT,
    PRIMARY KEY (verdict, code) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${elasticsearch}',
    'index' = 'ingest',
    'sink.version.column' = 'records',
    'sink.bulk-flush.interval' = '1s',
    'format' = 'json'
);

INSERT INTO ingest (verdict, code, records)
SELECT verdict, code, SUM(n)
FROM (
    SELECT CAST('accepted' AS STRING) AS verdict, CAST('' AS STRING) AS code, events AS n FROM tiles
    UNION ALL
    SELECT verdict, COALESCE(error_code, ''), CAST(1 AS BIGINT) FROM admitted WHERE verdict NOT IN ('accepted', 'clock')
)
GROUP BY verdict, code;
