-- KEYS: meta. ARGV: as of which place; '1' or '0'.
local meta = redis.call('HMGET', KEYS[1], 'open', 'armed', 'armed_at', 'dirty_writes')
if meta[1] ~= '1' then return {CLOSED} end
local at, known = tonumber(ARGV[1]), tonumber(meta[3] or -1)
local old = at < known or (at == known and ARGV[2] == '1')
if not old and (ARGV[2] == '1' or meta[4] == '0') then
  redis.call('HSET', KEYS[1], 'armed', ARGV[2], 'armed_at', ARGV[1], 'armed_writes', ARGV[3], 'armed_bytes', ARGV[4])
  return {DONE, 1}
end
return {DONE, meta[2] == ARGV[2] and 1 or 0}
