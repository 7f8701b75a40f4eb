-- Not EXISTS: that may be planned as a hash of the whole table.
SELECT {accepted}, stands.*, {ended},
    CASE WHEN $3 THEN ended.result END, CASE WHEN $2 THEN invocations.payload END,
    (SELECT true FROM tries WHERE tries.id = asked.id LIMIT 1) IS NOT NULL,
    (SELECT true FROM past_ends WHERE past_ends.id = asked.id LIMIT 1) IS NOT NULL
FROM unnest($1::uuid[]) AS asked (id)
JOIN invocations ON invocations.id = ANY (ARRAY[asked.id])
LEFT JOIN LATERAL (SELECT {live} FROM live WHERE live.id = ANY (ARRAY[asked.id])) AS stands ON true
LEFT JOIN ended ON ended.id = ANY (ARRAY[asked.id])
ORDER BY asked.id
