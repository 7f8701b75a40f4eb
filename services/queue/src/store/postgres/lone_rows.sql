-- Without a session: locked here, in the order of ids. With one: their sessions are locked first.
WITH lone AS MATERIALIZED (
    SELECT * FROM live WHERE id = ANY ($1::uuid[]) AND session IS NULL ORDER BY id FOR UPDATE
)
SELECT {live} FROM lone
UNION ALL
SELECT {live} FROM live WHERE id = ANY ($1::uuid[]) AND session IS NOT NULL
