-- What may be lost of it is said to whoever reads it later, though the process that ends it dies at once.
UPDATE epochs SET
    state = $2, ended = $3, lost_shards = dirty.shards, lost_writes = dirty.writes, lost_bytes = dirty.bytes
FROM (
    SELECT coalesce(array_agg(shard ORDER BY shard), '{}') AS shards,
        coalesce(sum(bound_writes), 0)::bigint AS writes, coalesce(sum(bound_bytes), 0)::bigint AS bytes
    FROM shards WHERE dirty
) AS dirty
WHERE epoch = $1
