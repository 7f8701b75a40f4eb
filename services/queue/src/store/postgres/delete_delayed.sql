DELETE FROM delayed USING (SELECT unnest(?::bigint[]) AS at, unnest(?::uuid[]) AS id) AS up
WHERE delayed.at = ANY (ARRAY[up.at]) AND delayed.id = up.id
