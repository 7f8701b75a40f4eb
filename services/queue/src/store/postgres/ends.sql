SELECT invocations.id, invocations.tenant, invocations.accepted_at, {ended} FROM unnest($1::uuid[]) AS asked (id)
JOIN invocations ON invocations.id = ANY (ARRAY[asked.id])
LEFT JOIN ended ON ended.id = ANY (ARRAY[asked.id])
