-- KEYS: meta, seen, tips, log. ARGV: the place; the share; the most bytes and entries of one step.
-- Returns how many steps are left at least: 0 or 1.
local meta = redis.call('HMGET', KEYS[1], 'open', 'decided', 'stored', 'bytes', 'dirty_writes', 'dirty_bytes')
if meta[1] ~= '1' then return {CLOSED} end
local upto, stored, held = tonumber(ARGV[1]), tonumber(meta[3]), tonumber(meta[4])
local dirty_writes, dirty_bytes = tonumber(meta[5]), tonumber(meta[6])
local left, bytes_left = tonumber(ARGV[4]), tonumber(ARGV[3])
local whole, more = upto <= tonumber(meta[2]), 0

while whole and stored < upto do
  if left <= 0 or bytes_left <= 0 then
    more = 1
    break
  end
  local page = redis.call('XRANGE', KEYS[4], digits(stored + 1), ARGV[1], 'COUNT', math.min(left, 16))
  if #page == 0 then
    -- What was decided and is not in the log has been taken out of it.
    whole = redis.call('XLEN', KEYS[4]) > 0
    break
  end
  for _, row in ipairs(page) do
    local last, entry = tonumber(string.match(row[1], '^%d+')), row[2][2]
    local cached, bytes, count, at = struct.unpack('>I1I8I4', entry)
    whole = last - count == stored
    if not whole then break end
    for i = 1, count do
      local length, from = struct.unpack('>I2', entry, at)
      local name = string.sub(entry, from, from + length - 1)
      length, at = struct.unpack('>I4', entry, from + length)
      local seq = place(stored + i)
      local tip = redis.call('HGET', KEYS[3], name)
      local is_tip = tip and string.sub(tip, 1, 8) == seq
      if cached == 0 then
        local edition = is_tip and tip or seq .. string.sub(entry, at, at + length - 1)
        held = held + #edition - redis.call('HSTRLEN', KEYS[2], name)
        redis.call('HSET', KEYS[2], name, edition)
      end
      if is_tip then redis.call('HDEL', KEYS[3], name) end
      at = at + length
    end
    if cached == 1 then
      dirty_writes, dirty_bytes = dirty_writes - count, dirty_bytes - bytes
    end
    stored = last
    left, bytes_left = left - 1, bytes_left - #entry
  end
end

if not whole then
  redis.call('HSET', KEYS[1], 'open', '0')
  return {CLOSED}
end
if stored > tonumber(meta[3]) then
  redis.call('XTRIM', KEYS[4], 'MINID', digits(stored + 1))
  held = evict(KEYS[2], KEYS[3], held, tonumber(ARGV[2]), {})
  redis.call('HSET', KEYS[1], 'stored', digits(stored), 'bytes', digits(held),
    'dirty_writes', digits(dirty_writes), 'dirty_bytes', digits(dirty_bytes))
end
return {DONE, more}
