INSERT INTO tries (
    id, event, fence, leased_at, lease_event, ended_at, next_at, attempt, kind, became, retryable, lease, stream, worker,
    reason, message
)
SELECT * FROM unnest(
    ?::uuid[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::integer[], ?::integer[],
    ?::integer[], ?::boolean[], ?::uuid[], ?::uuid[], ?::text[], ?::text[], ?::text[]
)
