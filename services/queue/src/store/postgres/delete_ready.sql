DELETE FROM ready USING (SELECT unnest(?::bigint[]) AS writer, unnest(?::bigint[]) AS rank) AS taken
WHERE ready.writer = ANY (ARRAY[taken.writer]) AND ready.rank = taken.rank
