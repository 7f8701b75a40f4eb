-- KEYS: meta, log. ARGV: the first place; bytes; 'end' to close the epoch, open or not; 'aside' to read it, open or not.
-- At the end, what it had reached when it was closed so comes first, or nothing.
local meta = redis.call('HMGET', KEYS[1], 'open', 'decided', 'reached')
local found = {DONE}
if ARGV[3] == 'end' then
  if meta[2] then
    redis.call('HDEL', KEYS[1], 'open')
    redis.call('HSET', KEYS[1], 'asked', '1')
    if meta[1] == '1' then
      redis.call('HSET', KEYS[1], 'reached', meta[2])
      meta[3] = meta[2]
    end
  end
  found[2] = meta[3] and tonumber(meta[3])
elseif ARGV[3] ~= 'aside' and meta[1] ~= '1' then
  return {CLOSED}
end
local from, room, begun = ARGV[1], tonumber(ARGV[2]), #found
while true do
  local page = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', 16)
  for _, row in ipairs(page) do
    local _, bytes = struct.unpack('>I1I8', row[2][2])
    if bytes > room and #found > begun then return found end
    room = math.max(room - bytes, 0)
    from = string.match(row[1], '^%d+')
    found[#found + 1] = from
    found[#found + 1] = row[2][2]
  end
  if #page < 16 then return found end
  from = digits(tonumber(from) + 1)
end
