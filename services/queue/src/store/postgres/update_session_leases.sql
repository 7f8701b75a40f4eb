UPDATE session_leases SET id = held.id FROM unnest(?::bigint[], ?::uuid[]) AS held (session, id)
WHERE session_leases.session = ANY (ARRAY[held.session])
