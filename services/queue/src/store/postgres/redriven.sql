SELECT {accepted}, {ended} FROM unnest($1::uuid[]) AS asked (id)
JOIN ended ON ended.id = asked.id
JOIN invocations ON invocations.id = asked.id
ORDER BY asked.id FOR UPDATE OF ended
