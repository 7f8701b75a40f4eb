-- Without a session: locked here, in the order of ids. With one: their sessions are locked first. (Of both columns that say so
-- the second is asked for: by the first the index of places could be walked over.)
WITH lone AS MATERIALIZED (
    SELECT * FROM live WHERE id = ANY ($1::uuid[]) AND session IS NULL ORDER BY id FOR UPDATE
)
SELECT {live} FROM lone
UNION ALL
SELECT {live} FROM live WHERE id = ANY ($1::uuid[]) AND session_order IS NOT NULL
