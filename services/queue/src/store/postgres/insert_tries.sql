INSERT INTO tries (
    id, event, fence, leased_at, lease_event, ended_at, next_at, attempt, kind, became, retryable, lease, stream, worker,
    reason, message
)
SELECT
    unnest(?::uuid[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]),
    unnest(?::bigint[]), unnest(?::integer[]), unnest(?::integer[]), unnest(?::integer[]), unnest(?::boolean[]),
    unnest(?::uuid[]), unnest(?::uuid[]), unnest(?::text[]), unnest(?::text[]), unnest(?::text[])
