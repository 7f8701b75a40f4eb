UPDATE invocations SET deadline = redriven.deadline FROM unnest(?::uuid[], ?::bigint[]) AS redriven (id, deadline)
WHERE invocations.id = ANY (ARRAY[redriven.id])
