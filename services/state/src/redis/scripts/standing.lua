-- KEYS: meta.
local meta = redis.call('HMGET', KEYS[1], 'open', 'decided', 'stored', 'dirty_writes', 'dirty_bytes')
if meta[1] ~= '1' then return {CLOSED} end
return {DONE, tonumber(meta[2]), tonumber(meta[3]), tonumber(meta[4]), tonumber(meta[5])}
