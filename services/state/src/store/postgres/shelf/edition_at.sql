WITH RECURSIVE walk AS (
    SELECT start.shard, start.seq, start.previous, start.vector
    FROM (
        SELECT records.shard, records.head AS seq FROM records
        WHERE records.tenant = $1 AND records.namespace = $2 AND records.partition = $3 AND records.key = $4
        LIMIT 1
    ) AS r
    CROSS JOIN LATERAL (
        SELECT * FROM history WHERE history.shard = r.shard AND history.seq = r.seq LIMIT 1
    ) AS start
    UNION ALL
    SELECT earlier.shard, earlier.seq, earlier.previous, earlier.vector
    FROM walk CROSS JOIN LATERAL (
        SELECT * FROM history WHERE history.shard = walk.shard AND history.seq = walk.previous LIMIT 1
    ) AS earlier
    WHERE walk.vector <> $5
)
SELECT {edition}
FROM walk
CROSS JOIN LATERAL (SELECT * FROM history WHERE history.shard = walk.shard AND history.seq = walk.seq LIMIT 1) AS h
WHERE walk.vector = $5
