-- How much goes, and how much stays (counted no further than it matters).
SELECT
    (SELECT count(*) FROM ended WHERE id >= $1 AND id < $2 AND at < $3),
    (SELECT count(*) FROM (
        SELECT FROM live WHERE id >= $1 AND id < $2
        UNION ALL
        SELECT FROM ended WHERE id >= $1 AND id < $2 AND at >= $3
        LIMIT $4
    ) AS staying)
