WITH RECURSIVE lines AS (
    (SELECT agent, tenant, priority FROM ready WHERE agent <> '' ORDER BY agent, tenant, priority LIMIT 1)
    UNION ALL
    SELECT next.* FROM lines CROSS JOIN LATERAL (
        SELECT agent, tenant, priority FROM ready
        WHERE ready.agent <> '' AND (ready.agent, ready.tenant, ready.priority) > (lines.agent, lines.tenant, lines.priority)
        ORDER BY ready.agent, ready.tenant, ready.priority LIMIT 1
    ) AS next
)
SELECT agent, tenant, priority FROM lines
