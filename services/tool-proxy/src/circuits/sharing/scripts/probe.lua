-- Leave for one probe. Of those given in one half-open, the ones under way and the ones that succeeded are never more than
-- there are probes; one that is silent for too long is given to another.
-- ARGV: channel, name, id, probes, patience, openings, why. Answers: 1 and 0, or 0 and when to come back; standing.
local at, key, probes = clock(), KEYS[1], KEYS[2]
local held = redis.call('HMGET', key, 's', 'until', 'mode')
local state = held[1] or 'open'
if state == 'closed' or (held[3] and held[3] ~= 'auto') then
  return { 0, '0', standing(key, at) }
end
if state == 'open' then
  local left = (tonumber(held[2]) or 0) - at
  if left > 0 then
    return { 0, whole(left), standing(key, at) }
  end
  redis.call('DEL', probes)
  change(key, at, ARGV[1], ARGV[2], 's', 'half_open', 'until', '0', 'n', ARGV[6], 'why', ARGV[7], 'ok', '0')
end
redis.call('ZREMRANGEBYSCORE', probes, '-inf', whole(at))
local taken = redis.call('ZCARD', probes) + (tonumber(redis.call('HGET', key, 'ok')) or 0)
if taken < tonumber(ARGV[4]) then
  redis.call('ZADD', probes, whole(at + tonumber(ARGV[5])), ARGV[3])
  redis.call('PEXPIRE', probes, KEEP_MS)
  return { 1, '0', standing(key, at) }
end
local first = redis.call('ZRANGE', probes, 0, 0, 'WITHSCORES')
return { 0, whole(math.max(0, (tonumber(first[2]) or at) - at)), standing(key, at) }
