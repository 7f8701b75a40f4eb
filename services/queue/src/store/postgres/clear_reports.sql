-- All but the newest reports of each invocation, by number and by bytes.
DELETE FROM reports USING (
    SELECT asked.id, (
        SELECT max(event) FROM (
            SELECT event, count(*) OVER newer AS items, sum(bytes) OVER newer AS size
            FROM reports WHERE reports.id = asked.id
            WINDOW newer AS (ORDER BY event DESC)
        ) AS counted WHERE counted.items > asked.items OR counted.size > asked.bytes
    ) AS event
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS asked (id, items, bytes)
) AS old
WHERE reports.id = ANY (ARRAY[old.id]) AND reports.event <= old.event
