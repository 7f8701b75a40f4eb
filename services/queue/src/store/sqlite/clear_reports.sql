-- All but the newest reports of an invocation, by number and by bytes.
DELETE FROM reports WHERE seq = ?1 AND event <= (
    SELECT max(event) FROM (
        SELECT event, count(*) OVER newer AS items, sum(bytes) OVER newer AS size
        FROM reports WHERE seq = ?1
        WINDOW newer AS (ORDER BY event DESC)
    ) WHERE items > ?2 OR size > ?3
)
