INSERT INTO invocations (
    id, accepted_at, not_before, deadline, bytes, priority, parent, tenant, agent, session, idempotency_key, retry, labels,
    traceparent, content_type, payload
)
SELECT id, accepted_at, not_before, deadline, bytes, priority, parent, tenant, agent, session, idempotency_key, retry,
    labels::jsonb, traceparent, content_type, payload
FROM unnest(
    ?::uuid[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::integer[], ?::uuid[], ?::text[], ?::text[],
    ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bytea[]
) AS asked (
    id, accepted_at, not_before, deadline, bytes, priority, parent, tenant, agent, session, idempotency_key, retry, labels,
    traceparent, content_type, payload
)
