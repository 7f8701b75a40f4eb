DELETE FROM ended USING unnest(?::uuid[], ?::bigint[], ?::uuid[]) AS redriven (id, at, redrive)
WHERE ended.id = ANY (ARRAY[redriven.id])
RETURNING ended.*, redriven.at AS redriven_at, redriven.redrive
