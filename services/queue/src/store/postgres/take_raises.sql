WITH taken AS (
    UPDATE fence_raises SET taken_by = $1, taken_until = clock_timestamp() + interval '10 seconds'
    WHERE raise = ANY (ARRAY(
        SELECT raise FROM fence_raises
        WHERE raise > $2 AND (taken_by IS NULL OR taken_by = $1 OR taken_until < clock_timestamp())
        ORDER BY raise LIMIT $3 FOR UPDATE SKIP LOCKED
    ))
    RETURNING raise, tenant, session, invocation, fence
)
SELECT * FROM taken ORDER BY raise
