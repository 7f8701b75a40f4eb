-- A comparison of whole rows takes both columns to the index, or none.
DELETE FROM ready USING (SELECT unnest(?::bigint[]) AS writer, unnest(?::bigint[]) AS rank) AS taken
WHERE (ready.writer, ready.rank) BETWEEN (taken.writer, taken.rank) AND (taken.writer, taken.rank)
