SELECT tries.id, {tries} FROM unnest($1::uuid[]) AS asked (id)
JOIN tries ON tries.id = ANY (ARRAY[asked.id])
ORDER BY asked.id, tries.event
