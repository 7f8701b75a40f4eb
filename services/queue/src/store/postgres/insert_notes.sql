INSERT INTO notes (writer, kind, id, lease, reason)
SELECT * FROM unnest(?::bigint[], ?::integer[], ?::uuid[], ?::uuid[], ?::text[])
