SELECT {accepted}, stands.*, {ended},
    CASE WHEN $3 THEN ended.result END, CASE WHEN $2 THEN invocations.payload END,
    EXISTS (SELECT FROM tries WHERE tries.id = asked.id), EXISTS (SELECT FROM past_ends WHERE past_ends.id = asked.id)
FROM unnest($1::uuid[]) AS asked (id)
JOIN invocations ON invocations.id = asked.id
LEFT JOIN LATERAL (SELECT {live} FROM live WHERE live.id = asked.id) AS stands ON true
LEFT JOIN ended ON ended.id = asked.id
ORDER BY asked.id
