INSERT INTO processes (writer, last_rank) OVERRIDING SYSTEM VALUE VALUES ($1, $2)
ON CONFLICT (writer) DO UPDATE SET is_buried = false WHERE processes.is_buried
