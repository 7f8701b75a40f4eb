DELETE FROM processes
WHERE is_buried AND (SELECT true FROM ready WHERE ready.writer = processes.writer LIMIT 1) IS NULL
