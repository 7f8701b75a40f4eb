SELECT tries.id, {tries} FROM unnest($1::uuid[]) AS asked (id)
JOIN tries ON tries.id = asked.id
ORDER BY tries.id, tries.event
