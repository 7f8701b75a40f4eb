-- KEYS: meta, seen, tips. ARGV: names.
if redis.call('HGET', KEYS[1], 'open') ~= '1' then return {CLOSED} end
return {DONE, redis.call('HMGET', KEYS[2], unpack(ARGV)), redis.call('HMGET', KEYS[3], unpack(ARGV))}
