-- The rows of a partition stand in its shard's history among those of others.
WITH looked AS MATERIALIZED (
    SELECT mine.seq, mine.key,
        coalesce(sum(mine.bytes) OVER (ORDER BY mine.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM (
        SELECT rows.seq, r.key, CASE WHEN r.key IS NULL THEN 0 ELSE 200 + coalesce(length(rows.value), 0) END AS bytes
        FROM (
            SELECT history.seq, history.record, history.value FROM history
            WHERE history.shard = $1 AND history.seq > $5
            ORDER BY history.seq LIMIT $6
        ) AS rows
        LEFT JOIN LATERAL (
            SELECT records.key FROM records
            WHERE records.id = rows.record AND records.tenant = $2 AND records.namespace = $3
                AND records.partition = $4
            LIMIT 1
        ) AS r ON true
    ) AS mine
)
SELECT s.position, s.swept, (SELECT max(looked.seq) FROM looked WHERE looked.before < $7),
    (SELECT count(*) < $6 AND count(*) = count(*) FILTER (WHERE looked.before < $7) FROM looked), l.key, {edition}
FROM shards AS s
LEFT JOIN (SELECT * FROM looked WHERE looked.key IS NOT NULL AND looked.before < $7) AS l ON true
LEFT JOIN LATERAL (SELECT * FROM history WHERE history.shard = $1 AND history.seq = l.seq LIMIT 1) AS h ON true
WHERE s.shard = $1
ORDER BY l.seq
