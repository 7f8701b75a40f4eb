-- KEYS: meta, seen, heads, log. ARGV: the place; the share; the most bytes and entries of one step.
-- Answers whether there is more to do: 0 or 1.
local meta = redis.call('HMGET', KEYS[1], 'open', 'decided', 'stored', 'bytes', 'dirty_writes', 'dirty_bytes',
  'oldest', 'unstored')
if meta[1] ~= '1' then return {CLOSED} end
-- A Redis that is full refuses a script's first write if it may take memory, and no other: what makes room is let through.
redis.call('HDEL', KEYS[1], 'nothing')
local upto, stored, held = tonumber(ARGV[1]), tonumber(meta[3]), tonumber(meta[4])
local dirty_writes, dirty_bytes = tonumber(meta[5]), tonumber(meta[6])
local oldest, unstored = meta[7], tonumber(meta[8])
local left, bytes_left = tonumber(ARGV[4]), tonumber(ARGV[3])
local whole, more = upto <= tonumber(meta[2]), 0

-- Shows a page of the log that is stored now; whether nothing of it has been taken away.
local function show(page)
  local names, rows, n = {}, {}, 0
  for i, row in ipairs(page) do
    local entry = row[2][2]
    local cached, bytes, count, at = struct.unpack('>I1I8I4', entry)
    stored = stored + count
    if tonumber((string.match(row[1], '^%d+'))) ~= stored then return false end
    if cached == 1 then dirty_writes, dirty_bytes = dirty_writes - count, dirty_bytes - bytes end
    unstored = unstored - bytes
    left, bytes_left = left - 1, bytes_left - #entry
    for seq = stored - count + 1, stored do
      local length, from = struct.unpack('>I2', entry, at)
      n = n + 1
      names[n] = string.sub(entry, from, from + length - 1)
      length, from = struct.unpack('>I4', entry, from + length)
      at = from + length
      rows[n] = place(seq)
      if cached == 0 then rows[-n] = rows[n] .. string.sub(entry, from, at - 1) end
    end
  end
  local heads, shown = {}, {}
  for i, head in ipairs(redis.call('HMGET', KEYS[3], unpack(names))) do
    if not head then return false end
    local name, edition = names[i], rows[-i]
    head = heads[name] or head
    local state, length = state_of(head), visible_length(head)
    if string.sub(head, 1, 8) == rows[i] then state = STORED end
    if edition then
      held = held + #edition - length
      shown[name], length = edition, #edition
    end
    heads[name] = string.sub(head, 1, 17) .. struct.pack('>I1I4', state, length) .. string.sub(head, 23)
  end
  local changed = {}
  for name, head in pairs(heads) do
    changed[#changed + 1] = name
    changed[#changed + 1] = head
  end
  redis.call('HSET', KEYS[3], unpack(changed))
  changed = {}
  for name, edition in pairs(shown) do
    changed[#changed + 1] = name
    changed[#changed + 1] = edition
  end
  if #changed > 0 then redis.call('HSET', KEYS[2], unpack(changed)) end
  return true
end

while whole and stored < upto do
  if left <= 0 or bytes_left <= 0 then
    more = 1
    break
  end
  local page = redis.call('XRANGE', KEYS[4], digits(stored + 1), ARGV[1], 'COUNT', math.min(left, 16))
  if #page == 0 then
    whole = redis.call('XLEN', KEYS[4]) > 0
    break
  end
  whole = show(page)
end

if not whole then
  redis.call('HDEL', KEYS[1], 'open')
  return {CLOSED}
end
if stored > tonumber(meta[3]) then
  redis.call('XTRIM', KEYS[4], 'MINID', digits(stored + 1))
  -- What comes next is as old as the oldest CACHED write that is left, or older.
  local row = dirty_writes > 0 and redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', 1)[1]
  if row then oldest = string.match(row[1], '%d+$') end
  held = evict(KEYS[2], KEYS[3], held, tonumber(ARGV[2]), {})
  redis.call('HSET', KEYS[1], 'stored', digits(stored), 'bytes', digits(held),
    'dirty_writes', digits(dirty_writes), 'dirty_bytes', digits(dirty_bytes),
    'oldest', oldest, 'unstored', digits(unstored))
end
return {DONE, more}
