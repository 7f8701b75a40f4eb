SELECT ended.id, {ended}, ended.redriven_at, ended.redrive FROM unnest($1::uuid[]) AS asked (id)
JOIN past_ends AS ended ON ended.id = ANY (ARRAY[asked.id])
ORDER BY asked.id, ended.event
