-- KEYS: meta, the epochs of the shard.
if redis.call('HGET', KEYS[1], 'open') ~= '1' then return {CLOSED} end
return {DONE, redis.call('SMEMBERS', KEYS[2])}
