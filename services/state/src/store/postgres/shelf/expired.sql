SELECT r.tenant, r.namespace, r.partition, r.key, h.vector
FROM (
    SELECT * FROM records WHERE records.expires IS NOT NULL AND records.expires <= $1 ORDER BY records.expires LIMIT $2
) AS r
CROSS JOIN LATERAL (SELECT * FROM history WHERE history.shard = r.shard AND history.seq = r.head LIMIT 1) AS h
