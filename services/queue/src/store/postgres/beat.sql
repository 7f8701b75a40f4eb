UPDATE processes SET beat = $2, drain_rate = $3, last_rank = $4 WHERE writer = $1 AND NOT is_buried
