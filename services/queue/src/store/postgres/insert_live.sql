INSERT INTO live (
    id, state, attempt, lost, tries, events, fence, loose_fence, started_at, next_at, ready_writer, ready_rank, keeper,
    leased_at, lease_event, lease, stream, worker, accepted_at, bytes, deadline, session, session_order, awaited_by,
    priority, redrives, tenant, agent, session_name
)
SELECT
    unnest(?::uuid[]), unnest(?::integer[]), unnest(?::integer[]), unnest(?::integer[]), unnest(?::integer[]),
    unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]),
    unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::uuid[]),
    unnest(?::uuid[]), unnest(?::text[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]),
    unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::integer[]), unnest(?::integer[]), unnest(?::text[]), unnest(?::text[]),
    unnest(?::text[])
