-- Also those whose invocations went with their day.
WITH gone AS (
    DELETE FROM idempotency_keys AS known WHERE known.id >= $1 AND known.id < $2
        AND NOT EXISTS (SELECT FROM live WHERE live.id = known.id)
        AND coalesce((SELECT accepted_at FROM invocations WHERE invocations.id = known.id), $3 - 1) < $3
    RETURNING known.id
)
SELECT count(*) FROM gone
