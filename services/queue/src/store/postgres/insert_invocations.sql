INSERT INTO invocations (
    id, accepted_at, not_before, deadline, bytes, priority, parent, tenant, agent, session, idempotency_key, retry, labels,
    traceparent, content_type, payload
)
SELECT
    unnest(?::uuid[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]),
    unnest(?::integer[]), unnest(?::uuid[]), unnest(?::text[]), unnest(?::text[]), unnest(?::text[]), unnest(?::text[]),
    unnest(?::text[]), unnest(?::text[])::jsonb, unnest(?::text[]), unnest(?::text[]), unnest(?::bytea[])
