INSERT INTO ended (
    id, at, started_at, event, fence, leased_at, lease_event, input_tokens, output_tokens, state, attempt, lost, retryable,
    lease, stream, worker, reason, message, content_type, tenant, result
)
SELECT
    unnest(?::uuid[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]),
    unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::integer[]), unnest(?::integer[]),
    unnest(?::integer[]), unnest(?::boolean[]), unnest(?::uuid[]), unnest(?::uuid[]), unnest(?::text[]), unnest(?::text[]),
    unnest(?::text[]), unnest(?::text[]), unnest(?::text[]), unnest(?::bytea[])
