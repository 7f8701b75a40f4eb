INSERT INTO delayed (at, id) SELECT unnest(?::bigint[]), unnest(?::uuid[])
