DELETE FROM ready USING unnest(?::bigint[], ?::bigint[]) AS taken (writer, rank)
WHERE ready.writer = taken.writer AND ready.rank = taken.rank
