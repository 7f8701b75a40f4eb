-- A process says how a circuit stands now, if nobody said anything since the version that it has seen.
-- ARGV: channel, name, version seen, state, what is left of the open time, openings, why. Answers: taken, standing.
local at, key = clock(), KEYS[1]
if (redis.call('HGET', key, 'v') or '0') ~= ARGV[3] then
  return { 0, standing(key, at) }
end
redis.call('DEL', KEYS[2])
change(key, at, ARGV[1], ARGV[2],
  's', ARGV[4], 'until', whole(at + tonumber(ARGV[5])), 'n', ARGV[6], 'why', ARGV[7], 'ok', '0')
return { 1, standing(key, at) }
