UPDATE live SET
    state = changed.state, attempt = changed.attempt, lost = changed.lost, tries = changed.tries,
    events = changed.events, fence = changed.fence, loose_fence = changed.loose_fence, started_at = changed.started_at,
    next_at = changed.next_at, ready_writer = changed.ready_writer, ready_rank = changed.ready_rank,
    keeper = changed.keeper, leased_at = changed.leased_at, lease_event = changed.lease_event, lease = changed.lease,
    stream = changed.stream, worker = changed.worker
FROM unnest(
    ?::uuid[], ?::integer[], ?::integer[], ?::integer[], ?::integer[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[],
    ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::uuid[], ?::uuid[], ?::text[]
) AS changed (
    id, state, attempt, lost, tries, events, fence, loose_fence, started_at, next_at, ready_writer, ready_rank, keeper,
    leased_at, lease_event, lease, stream, worker
)
WHERE live.id = changed.id
