-- Whether there is a fence (not by EXISTS, which may be planned as a look at all of them), and the fence where its lock was
-- got at once. The floor is of the same moment: it covers what was forgotten before; what is forgotten meanwhile is there and
-- not got.
SELECT asked.place, known.there, mine.fence, mine.lease,
    (SELECT deciders.fence_floor FROM deciders WHERE deciders.only_row = 1)
FROM (
    SELECT * FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (tenant, scope, place)
    ORDER BY tenant, scope
) AS asked
CROSS JOIN LATERAL (
    SELECT (
        SELECT true FROM fences WHERE fences.tenant = asked.tenant AND fences.scope = asked.scope LIMIT 1
    ) IS NOT NULL AS there
) AS known
LEFT JOIN LATERAL (
    SELECT fences.fence, fences.lease FROM fences
    WHERE fences.tenant = asked.tenant AND fences.scope = asked.scope
    LIMIT 1 FOR {lock} SKIP LOCKED
) AS mine ON true
