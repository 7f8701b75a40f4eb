-- In the order of one index: by the array no other is known to have it, whatever the planner believes about the values.
SELECT next.* FROM processes
LEFT JOIN unnest($1::bigint[], $2::bigint[]) AS seen (writer, rank) ON seen.writer = processes.writer
CROSS JOIN LATERAL (
    SELECT writer, rank, id, ready_at, accepted_at, bytes, priority, agent, tenant FROM ready
    WHERE ready.agent <> '' AND ready.agent = ANY (ARRAY[$4]) AND ready.tenant = $5 AND ready.priority = $6
        AND ready.writer = processes.writer AND ready.rank > coalesce(seen.rank, 0)
    ORDER BY ready.agent, ready.rank LIMIT $3
) AS next
ORDER BY next.writer, next.rank
