UPDATE processes SET is_buried = true
WHERE writer = $1 AND NOT EXISTS (SELECT FROM live WHERE keeper = $1)
