-- Oldest first: heads rise with time, but for clocks that jump.
SELECT r.tenant, r.namespace, r.partition, r.key
FROM heads n INDEXED BY tombstones CROSS JOIN history h ON h.seq = n.seq CROSS JOIN records r ON r.id = n.record
WHERE n.deleted = 1 AND h.time < ?1
ORDER BY n.seq
LIMIT ?2
