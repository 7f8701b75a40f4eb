SELECT asked.place, f.fence, f.lease
FROM (
    SELECT * FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (tenant, scope, place)
    ORDER BY tenant, scope
) AS asked
CROSS JOIN LATERAL (
    SELECT fences.fence, fences.lease FROM fences
    WHERE fences.tenant = asked.tenant AND fences.scope = asked.scope
    LIMIT 1 FOR SHARE
) AS f
