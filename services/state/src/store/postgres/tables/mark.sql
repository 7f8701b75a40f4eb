UPDATE shards SET dirty = $3, bound_writes = $4, bound_bytes = $5
WHERE shard = $1 AND epoch = $2
RETURNING position
