WITH taken AS (
    DELETE FROM notes WHERE writer = $1 AND note <= (
        SELECT max(note) FROM (SELECT note FROM notes WHERE writer = $1 ORDER BY note LIMIT $2) AS first
    )
    RETURNING note, id, lease, reason
)
SELECT note, id, lease, reason FROM taken ORDER BY note
