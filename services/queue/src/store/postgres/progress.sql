SELECT live.id, live.events, false FROM live WHERE live.id = ANY ($1::uuid[])
UNION ALL
SELECT ended.id, ended.event, true FROM unnest($1::uuid[]) AS asked (id) JOIN ended ON ended.id = ANY (ARRAY[asked.id])
