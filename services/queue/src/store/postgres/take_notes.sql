WITH taken AS (
    DELETE FROM notes WHERE writer = $1 AND note = ANY (ARRAY(
        SELECT note FROM notes WHERE writer = $1 ORDER BY note LIMIT $2
    ))
    RETURNING note, id, lease, reason
)
SELECT note, id, lease, reason FROM taken ORDER BY note
