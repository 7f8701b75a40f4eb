INSERT INTO processes (writer, beat, drain_rate, last_rank) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4)
ON CONFLICT (writer) DO UPDATE
SET beat = excluded.beat, drain_rate = excluded.drain_rate, last_rank = excluded.last_rank, is_buried = false
