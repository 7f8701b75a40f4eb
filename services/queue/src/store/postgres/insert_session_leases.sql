INSERT INTO session_leases (session, id) SELECT unnest(?::bigint[]), unnest(?::uuid[])
