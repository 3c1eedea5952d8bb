-- Whose is this id?  One document for each id that belongs to another; and no profile for those who have left.
CREATE TABLE identities (
    id      STRING,
    user_id STRING,
    version BIGINT,
    PRIMARY KEY (id) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${elasticsearch}',
    ${elasticsearch_access}
    'index' = 'identities',
    'sink.version.column' = 'version',
    'sink.version.exclude' = 'true',
    'sink.bulk-flush.interval' = '100ms',
    'sink.dead-letter.path' = '${dead_letters}',
    'format' = 'json'
);

CREATE TABLE identities_gone (
    id      STRING,
    version BIGINT,
    PRIMARY KEY (id) NOT ENFORCED
) WITH (
    'connector' = 'elasticsearch',
    'hosts' = '${elasticsearch}',
    ${elasticsearch_access}
    'index' = 'identities',
    'sink.delete' = 'true',
    'sink.version.column' = 'version',
    'sink.bulk-flush.interval' = '100ms',
    'sink.dead-letter.path' = '${dead_letters}',
    'format' = 'json'
);

CREATE TABLE profiles_gone WITH ('index' = '${profiles_index}') LIKE identities_gone (OVERWRITING OPTIONS);

INSERT INTO identities (id, user_id, version)
SELECT user_key, owner, epoch FROM routes WHERE owner IS NOT NULL AND owner <> user_key;

INSERT INTO identities_gone (id, version)
SELECT user_key, epoch FROM routes WHERE owner IS NULL OR owner = user_key;

INSERT INTO profiles_gone (id, version)
SELECT user_id, version FROM departed;
