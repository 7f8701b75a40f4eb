SELECT {accepted}, CASE WHEN asked.with_payload THEN invocations.payload END
FROM unnest($1::uuid[], $2::boolean[]) AS asked (id, with_payload)
JOIN invocations ON invocations.id = ANY (ARRAY[asked.id])
