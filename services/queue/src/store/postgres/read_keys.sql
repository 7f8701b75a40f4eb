-- With the time of acceptance where the invocation has ended; long ago where it is gone.
SELECT known.tenant, known.agent, known.key, known.id, known.digest,
    CASE WHEN (SELECT true FROM live WHERE live.id = known.id) THEN NULL
    ELSE coalesce((SELECT accepted_at FROM invocations WHERE invocations.id = known.id), -9223372036854775808) END
FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (tenant, agent, key)
JOIN idempotency_keys AS known
    ON known.tenant = ANY (ARRAY[asked.tenant]) AND known.agent = asked.agent AND known.key = asked.key
