-- Those that fit, the first of all in any case, and the next one's offset.
SELECT event, at, message, fraction, attempt, CASE WHEN fits THEN chunk END, fits FROM (
    SELECT *, number = 1 OR (number <= $4 AND size <= $5) AS fits FROM (
        SELECT *, row_number() OVER earlier AS number, sum(bytes) OVER earlier AS size FROM reports
        WHERE id = $1 AND event >= $2 AND event <= $3
        WINDOW earlier AS (ORDER BY event)
    ) AS counted
) AS judged
WHERE number <= $4 + 1 ORDER BY event
