INSERT INTO ended (
    id, at, started_at, event, fence, leased_at, lease_event, input_tokens, output_tokens, state, attempt, lost, retryable,
    lease, stream, worker, reason, message, content_type, tenant, result
)
SELECT * FROM unnest(
    ?::uuid[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[],
    ?::integer[], ?::integer[], ?::integer[], ?::boolean[], ?::uuid[], ?::uuid[], ?::text[], ?::text[], ?::text[],
    ?::text[], ?::text[], ?::bytea[]
)
