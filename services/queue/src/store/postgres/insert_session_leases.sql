INSERT INTO session_leases (session, id) SELECT * FROM unnest(?::bigint[], ?::uuid[])
