-- Also those whose invocations went with their day. A key that is being given to another invocation just now is compared
-- once more, by whose it is: it stays.
WITH old AS MATERIALIZED (
    SELECT known.tenant, known.agent, known.key, known.id FROM idempotency_keys AS known
    WHERE known.id >= $1 AND known.id < $2
        AND (SELECT true FROM live WHERE live.id = known.id) IS NULL
        AND coalesce((SELECT accepted_at FROM invocations WHERE invocations.id = known.id), $3 - 1) < $3
), gone AS (
    DELETE FROM idempotency_keys AS known USING old
    WHERE known.tenant = ANY (ARRAY[old.tenant]) AND known.agent = old.agent AND known.key = old.key
        AND known.id = ANY (ARRAY[old.id])
    RETURNING known.id
)
SELECT count(*) FROM gone
