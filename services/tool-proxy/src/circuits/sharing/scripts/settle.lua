-- What became of a probe: it succeeded, or it is free again. (One that failed is told as an opening.) One of another
-- half-open, or one that was given to another, changes nothing.
-- ARGV: channel, name, id, version of its half-open, '1' for success, probes, why. Answers: closed by this, standing.
local at, key, probes = clock(), KEYS[1], KEYS[2]
local mine = redis.call('ZREM', probes, ARGV[3]) == 1
local held = redis.call('HMGET', key, 'v', 's')
if not mine or ARGV[5] ~= '1' or held[1] ~= ARGV[4] or held[2] ~= 'half_open' then
  return { 0, standing(key, at) }
end
if redis.call('HINCRBY', key, 'ok', 1) < tonumber(ARGV[6]) then
  return { 0, standing(key, at) }
end
redis.call('DEL', probes)
change(key, at, ARGV[1], ARGV[2], 's', 'closed', 'until', '0', 'n', '0', 'why', ARGV[7], 'ok', '0')
return { 1, standing(key, at) }
