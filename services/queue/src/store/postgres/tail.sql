-- For each writer on from where it was left, so that nothing is read twice, nor what was taken since. Buried writers stay
-- known as long as something of theirs is ready.
SELECT next.* FROM processes
LEFT JOIN unnest($1::bigint[], $2::bigint[]) AS seen (writer, rank) ON seen.writer = processes.writer
CROSS JOIN LATERAL (
    SELECT writer, rank, id, ready_at, accepted_at, bytes, priority, agent, tenant FROM ready
    WHERE ready.writer = processes.writer AND ready.rank > coalesce(seen.rank, 0)
    ORDER BY ready.rank LIMIT $3
) AS next
WHERE processes.writer <> $4 AND (
    seen.writer IS NOT NULL
    OR processes.writer > (SELECT coalesce(max(named.writer), 0) FROM unnest($1::bigint[]) AS named (writer))
)
ORDER BY next.writer, next.rank
