SELECT {accepted}, {ended} FROM unnest($1::uuid[]) AS asked (id)
JOIN ended ON ended.id = ANY (ARRAY[asked.id])
JOIN invocations ON invocations.id = ANY (ARRAY[asked.id])
ORDER BY asked.id FOR UPDATE OF ended
