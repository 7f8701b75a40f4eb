WITH RECURSIVE walk AS (
    SELECT 1::bigint AS place, start.shard, start.seq, start.previous, 0::bigint AS taken, 0::bigint AS bytes
    FROM (
        SELECT records.shard, records.head AS seq, records.id FROM records
        WHERE records.tenant = $1 AND records.namespace = $2 AND records.partition = $3 AND records.key = $4
        LIMIT 1
    ) AS r
    CROSS JOIN LATERAL (
        SELECT * FROM history WHERE history.shard = r.shard AND history.seq = r.seq LIMIT 1
    ) AS start
    UNION ALL
    SELECT walk.place + 1, earlier.shard, earlier.seq, earlier.previous, walk.taken + now.taken, walk.bytes + now.bytes
    FROM walk
    CROSS JOIN LATERAL (
        SELECT CASE WHEN history.seq < $5 THEN 1 ELSE 0 END AS taken,
            CASE WHEN history.seq < $5 THEN 200 + coalesce(length(history.value), 0) ELSE 0 END AS bytes
        FROM history WHERE history.shard = walk.shard AND history.seq = walk.seq LIMIT 1
    ) AS now
    CROSS JOIN LATERAL (
        SELECT * FROM history WHERE history.shard = walk.shard AND history.seq = walk.previous LIMIT 1
    ) AS earlier
    WHERE walk.taken + now.taken < $6 AND walk.bytes + now.bytes < $7
)
SELECT {edition}
FROM walk
CROSS JOIN LATERAL (SELECT * FROM history WHERE history.shard = walk.shard AND history.seq = walk.seq LIMIT 1) AS h
WHERE walk.seq < $5
ORDER BY walk.place
