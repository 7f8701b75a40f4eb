UPDATE live SET
    state = changed.state, attempt = changed.attempt, lost = changed.lost, tries = changed.tries,
    events = changed.events, fence = changed.fence, loose_fence = changed.loose_fence, started_at = changed.started_at,
    next_at = changed.next_at, ready_writer = changed.ready_writer, ready_rank = changed.ready_rank,
    keeper = changed.keeper, leased_at = changed.leased_at, lease_event = changed.lease_event, lease = changed.lease,
    stream = changed.stream, worker = changed.worker
FROM (
    SELECT
        unnest(?::uuid[]) AS id, unnest(?::integer[]) AS state, unnest(?::integer[]) AS attempt, unnest(?::integer[]) AS lost,
        unnest(?::integer[]) AS tries, unnest(?::bigint[]) AS events, unnest(?::bigint[]) AS fence,
        unnest(?::bigint[]) AS loose_fence, unnest(?::bigint[]) AS started_at, unnest(?::bigint[]) AS next_at,
        unnest(?::bigint[]) AS ready_writer, unnest(?::bigint[]) AS ready_rank, unnest(?::bigint[]) AS keeper,
        unnest(?::bigint[]) AS leased_at, unnest(?::bigint[]) AS lease_event, unnest(?::uuid[]) AS lease,
        unnest(?::uuid[]) AS stream, unnest(?::text[]) AS worker
) AS changed
WHERE live.id = ANY (ARRAY[changed.id])
