-- Back from one write to the one before, until a version, the beginning, or where the history was cut.
WITH RECURSIVE walk AS (
    SELECT 1::bigint AS place, start.* FROM (
        SELECT * FROM history WHERE history.shard = $1 AND history.seq = $2 LIMIT 1
    ) AS start
    UNION ALL
    SELECT walk.place + 1, earlier.*
    FROM walk CROSS JOIN LATERAL (
        SELECT * FROM history WHERE history.shard = $1 AND history.seq = walk.previous LIMIT 1
    ) AS earlier
    WHERE walk.place < $4 AND walk.vector IS DISTINCT FROM $3::bytea
)
SELECT h.previous, {note} FROM walk AS h ORDER BY h.place
