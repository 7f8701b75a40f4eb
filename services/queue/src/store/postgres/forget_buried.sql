DELETE FROM processes
WHERE is_buried AND NOT EXISTS (SELECT FROM ready WHERE ready.writer = processes.writer)
