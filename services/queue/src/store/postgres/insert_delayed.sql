INSERT INTO delayed (at, id) SELECT * FROM unnest(?::bigint[], ?::uuid[])
