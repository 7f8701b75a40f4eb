SELECT agent, tenant,
    count(*) FILTER (WHERE state = 1),
    coalesce(sum(bytes) FILTER (WHERE state = 1), 0)::bigint,
    count(*) FILTER (WHERE state = 2),
    min(accepted_at) FILTER (WHERE state = 1)
FROM live GROUP BY agent, tenant ORDER BY agent, tenant
