DELETE FROM delayed USING unnest(?::bigint[], ?::uuid[]) AS up (at, id)
WHERE delayed.at = up.at AND delayed.id = up.id
