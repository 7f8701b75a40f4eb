SELECT known.id, known.digest FROM idempotency_keys AS known
JOIN invocations ON invocations.id = ANY (ARRAY[known.id])
WHERE known.tenant = $1 AND known.agent = $2 AND known.key = $3
    AND (invocations.accepted_at >= $4 OR (SELECT true FROM live WHERE live.id = known.id))
