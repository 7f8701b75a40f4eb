-- A tenant's agent types: one step in the index for each.
WITH RECURSIVE agents AS (
    (SELECT agent FROM invocations WHERE tenant <> '' AND tenant = $1 ORDER BY agent LIMIT 1)
    UNION ALL
    SELECT next.agent FROM agents CROSS JOIN LATERAL (
        SELECT agent FROM invocations
        WHERE tenant <> '' AND tenant = $1 AND invocations.agent > agents.agent
        ORDER BY agent LIMIT 1
    ) AS next
)
SELECT agent FROM agents
