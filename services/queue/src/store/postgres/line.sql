-- The comparisons of whole rows leave the planner one index only, whatever it believes about the values in it.
SELECT next.* FROM processes
LEFT JOIN unnest($1::bigint[], $2::bigint[]) AS seen (writer, rank) ON seen.writer = processes.writer
CROSS JOIN LATERAL (
    SELECT writer, rank, id, ready_at, accepted_at, bytes, priority, agent, tenant FROM ready
    WHERE (ready.agent, ready.tenant, ready.priority, ready.writer, ready.rank)
            > ($4, $5, $6, processes.writer, coalesce(seen.rank, 0))
        AND (ready.agent, ready.tenant, ready.priority, ready.writer, ready.rank)
            <= ($4, $5, $6, processes.writer, 9223372036854775807)
    ORDER BY ready.agent, ready.tenant, ready.priority, ready.writer, ready.rank LIMIT $3
) AS next
ORDER BY next.writer, next.rank
