SELECT DISTINCT past_ends.id FROM past_ends
JOIN invocations ON invocations.id = ANY (ARRAY[past_ends.id])
WHERE past_ends.redrive = $1 AND past_ends.id > $3 AND ($2::text IS NULL OR invocations.tenant = $2)
ORDER BY past_ends.id LIMIT $4
