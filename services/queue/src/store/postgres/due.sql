-- Deadlines and delays that have passed, and the next of each that comes soon: between two times, so that what ended long
-- before or will long after is not walked over. A clock that is ahead of the server's makes nothing due. (The subqueries
-- are made once, and an index takes their values.)
WITH clock AS MATERIALIZED (
    SELECT least($1, (extract(epoch FROM statement_timestamp()) * 1000000)::bigint) AS now
)
(SELECT 0, NULL::uuid, now FROM clock)
UNION ALL
(SELECT 1, id, deadline FROM live
WHERE deadline > $3 AND deadline <= (SELECT now FROM clock) ORDER BY deadline, id LIMIT $2)
UNION ALL
(SELECT 2, id, at FROM delayed
WHERE at > $3 AND at <= (SELECT now FROM clock) ORDER BY at, id LIMIT $2)
UNION ALL
(SELECT 3, id, deadline FROM live
WHERE deadline > (SELECT now FROM clock) AND deadline <= (SELECT now + $4 FROM clock) ORDER BY deadline, id LIMIT 1)
UNION ALL
(SELECT 3, id, at FROM delayed
WHERE at > (SELECT now FROM clock) AND at <= (SELECT now + $4 FROM clock) ORDER BY at, id LIMIT 1)
