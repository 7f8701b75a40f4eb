-- Deadlines and delays that have passed, and the next of each that has not.
(SELECT true, id, deadline FROM live WHERE deadline <= $1 ORDER BY deadline, id LIMIT $2)
UNION ALL
(SELECT true, id, deadline FROM live WHERE deadline > $1 ORDER BY deadline, id LIMIT 1)
UNION ALL
(SELECT false, id, at FROM delayed WHERE at <= $1 ORDER BY at, id LIMIT $2)
UNION ALL
(SELECT false, id, at FROM delayed WHERE at > $1 ORDER BY at, id LIMIT 1)
