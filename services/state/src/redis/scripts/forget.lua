-- KEYS: the deciding epoch's meta, the epochs of the shard; the other epoch's meta, seen, heads, log, fences, tickets.
-- ARGV: the other epoch; how long a log is kept that nobody asked for, in seconds.
local KEPT = 1
if redis.call('HGET', KEYS[1], 'open') ~= '1' then return {CLOSED} end
redis.call('UNLINK', KEYS[4], KEYS[5], KEYS[7], KEYS[8])
if redis.call('HGET', KEYS[3], 'asked') == '1' or redis.call('XLEN', KEYS[6]) == 0 then
  redis.call('UNLINK', KEYS[3], KEYS[6])
  redis.call('SREM', KEYS[2], ARGV[1])
  return {DONE}
end
redis.call('HDEL', KEYS[3], 'open')
redis.call('EXPIRE', KEYS[3], ARGV[2])
redis.call('EXPIRE', KEYS[6], ARGV[2])
return {KEPT}
