SELECT r.tenant, r.namespace, r.partition, r.key, h.vector
FROM records r INDEXED BY records_by_expiry CROSS JOIN history h ON h.seq = r.head
WHERE r.expires IS NOT NULL AND r.deleted = 0 AND r.expires <= ?1
ORDER BY r.expires
LIMIT ?2
