INSERT INTO live (
    id, state, attempt, lost, tries, events, fence, loose_fence, started_at, next_at, ready_writer, ready_rank, keeper,
    leased_at, lease_event, lease, stream, worker, accepted_at, bytes, deadline, session, session_order, awaited_by,
    priority, redrives, tenant, agent, session_name
)
SELECT * FROM unnest(
    ?::uuid[], ?::integer[], ?::integer[], ?::integer[], ?::integer[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[],
    ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::uuid[], ?::uuid[], ?::text[],
    ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::integer[], ?::integer[], ?::text[],
    ?::text[], ?::text[]
)
