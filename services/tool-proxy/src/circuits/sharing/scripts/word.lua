-- An operator's word, if it is the last one. A circuit that was held open by hand and is left to itself begins by probing;
-- one that was held closed is closed.
-- ARGV: channel, name, stamp, mode, word, why; how it stands where nothing is known: state, left, openings, why.
-- Answers: taken, standing.
local at, key = clock(), KEYS[1]
local held = redis.call('HMGET', key, 'stamp', 'mode', 's')
if (tonumber(held[1]) or 0) >= tonumber(ARGV[3]) then
  return { 0, standing(key, at) }
end
local fields = { 'stamp', ARGV[3], 'mode', ARGV[4], 'word', ARGV[5] }
local function put(...)
  for _, field in ipairs({ ... }) do
    fields[#fields + 1] = field
  end
end
if not held[3] then
  put('s', ARGV[7], 'until', whole(at + tonumber(ARGV[8])), 'n', ARGV[9], 'why', ARGV[10], 'ok', '0')
elseif ARGV[4] == 'auto' and held[2] == 'forced_open' then
  put('s', 'half_open', 'until', '0', 'n', '1', 'why', ARGV[6], 'ok', '0')
elseif ARGV[4] == 'auto' and held[2] == 'forced_closed' then
  put('s', 'closed', 'until', '0', 'n', '0', 'why', ARGV[6], 'ok', '0')
end
redis.call('DEL', KEYS[2])
change(key, at, ARGV[1], ARGV[2], unpack(fields))
return { 1, standing(key, at) }
