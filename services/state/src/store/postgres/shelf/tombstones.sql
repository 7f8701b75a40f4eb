SELECT tenant, namespace, partition, key FROM records
WHERE deleted_at IS NOT NULL AND deleted_at < $1
ORDER BY deleted_at LIMIT $2
