-- One row more than asked for tells whether there are more; what does not fit comes without its content.
SELECT s.position, p.key, p.place <= $8 AND p.before < $9, {edition}
FROM shards AS s
LEFT JOIN LATERAL (
    SELECT sized.*, row_number() OVER in_order AS place,
        coalesce(sum(sized.bytes) OVER (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM (
        SELECT r.key, r.head, 200 + length(r.key) + coalesce(length(content.value), 0) AS bytes
        FROM (
            SELECT records.key, records.head FROM records
            WHERE records.tenant = $2 AND records.namespace = $3 AND records.partition = $4
                AND records.key > $5 AND records.key >= $6 AND records.key < $7 AND records.deleted_at IS NULL
            ORDER BY records.key LIMIT $8 + 1
        ) AS r
        CROSS JOIN LATERAL (
            SELECT * FROM history WHERE history.shard = $1 AND history.seq = r.head LIMIT 1
        ) AS content
    ) AS sized
    WINDOW in_order AS (ORDER BY sized.key)
) AS p ON true
LEFT JOIN LATERAL (
    SELECT history.revision, history.vector, history.write_id, history.invocation, history.time, history.seq,
        history.record, history.previous, history.blind, history.content_type, history.expires,
        CASE WHEN p.before < $9 THEN history.value END AS value
    FROM history WHERE history.shard = $1 AND history.seq = p.head LIMIT 1
) AS h ON true
WHERE s.shard = $1
ORDER BY p.key
