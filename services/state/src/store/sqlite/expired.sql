SELECT r.tenant, r.namespace, r.partition, r.key, h.vector
FROM heads n INDEXED BY heads_by_expiry CROSS JOIN history h ON h.seq = n.seq CROSS JOIN records r ON r.id = n.record
WHERE n.expires IS NOT NULL AND n.deleted = 0 AND n.expires <= ?1
ORDER BY n.expires
LIMIT ?2
