-- KEYS: meta, seen, heads, log, fences.
-- ARGV: the entry for the log; the share; the window in writes and in bytes; the guard's name and revision; the fence's
-- scope and the fence; the window's age in milliseconds; the most bytes that may not be stored.
local CHANGED, UNKNOWN, FENCED, FULL, CROWDED = 2, 3, 4, 5, 6
local stands = redis.call('HMGET', KEYS[1], 'open', 'unstored')
if stands[1] ~= '1' then return {CLOSED} end

if ARGV[7] ~= '' then
  local held = redis.call('HGET', KEYS[5], ARGV[7])
  if not held or below(held, ARGV[8]) then return {UNKNOWN} end
  if held ~= ARGV[8] then return {FENCED} end
end

if ARGV[5] ~= '' then
  local lock = redis.call('HGET', KEYS[3], ARGV[5])
  if not lock or string.sub(lock, 9, 16) ~= ARGV[6] or string.byte(lock, 17) ~= 1 then return {CHANGED} end
end

local entry = ARGV[1]
local cached, bytes, count, at = struct.unpack('>I1I8I4', entry)
local names, from, to = editions(entry, count, at)
local heads, tipped = redis.call('HMGET', KEYS[3], unpack(names)), false
for i = 1, count do
  -- An edition begins with the place of the one before it: what the write was judged by.
  if not heads[i] or string.sub(heads[i], 1, 8) ~= string.sub(entry, from[i], from[i] + 7) then return {CHANGED} end
  tipped = tipped or state_of(heads[i]) == TIP
end

local unstored = tonumber(stands[2])
if unstored > 0 and unstored + bytes > tonumber(ARGV[10]) then return {CROWDED} end
unstored = digits(unstored + bytes)
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local last, held, writes, oldest
if cached == 1 then
  local meta = redis.call('HMGET', KEYS[1], 'armed', 'dirty_writes', 'dirty_bytes', 'bytes', 'decided', 'oldest',
    'armed_writes', 'armed_bytes')
  -- A clock that was set back says nothing of the age.
  oldest = meta[2] == '0' and now or tonumber(meta[6])
  if meta[2] ~= '0' and (oldest > now or now - oldest >= tonumber(ARGV[9])) then return {FULL} end
  writes, bytes = tonumber(meta[2]) + count, tonumber(meta[3]) + bytes
  if tipped or meta[1] ~= '1' or writes > math.min(tonumber(ARGV[3]), tonumber(meta[7]))
    or bytes > math.min(tonumber(ARGV[4]), tonumber(meta[8])) then return {FULL} end
  held, last = tonumber(meta[4]), tonumber(meta[5]) + count
else
  last = redis.call('HINCRBY', KEYS[1], 'decided', count)
  redis.call('HSET', KEYS[1], 'unstored', unstored)
end

-- Nothing is written before it is certain, and nothing fails from here on.
local first, shown, changed = last - count + 1, {}, {}
for i = 1, count do
  local seq, length = place(first + i - 1), visible_length(heads[i])
  if cached == 1 then
    shown[2 * i - 1], shown[2 * i] = names[i], seq .. string.sub(entry, from[i], to[i])
    held = held + #shown[2 * i] - length
    length = #shown[2 * i]
  end
  changed[2 * i - 1] = names[i]
  changed[2 * i] = seq .. string.sub(entry, from[i] + 8, from[i] + 16)
    .. struct.pack('>I1I4I8', cached == 1 and CACHED or TIP, length, last)
end
redis.call('XADD', KEYS[4], digits(last) .. '-' .. digits(now), 'e', entry)
redis.call('HSET', KEYS[3], unpack(changed))
if cached == 1 then
  redis.call('HSET', KEYS[2], unpack(shown))
  held = evict(KEYS[2], KEYS[3], held, tonumber(ARGV[2]), {})
  redis.call('HSET', KEYS[1], 'decided', digits(last), 'bytes', digits(held),
    'dirty_writes', digits(writes), 'dirty_bytes', digits(bytes), 'oldest', digits(oldest), 'unstored', unstored)
end
return {DONE, first}
