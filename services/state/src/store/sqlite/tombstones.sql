-- Oldest first: heads rise with time, but for clocks that jump.
SELECT r.tenant, r.namespace, r.partition, r.key
FROM records r CROSS JOIN history h ON h.seq = r.head
WHERE r.deleted = 1 AND h.time < ?1
ORDER BY r.head
LIMIT ?2
