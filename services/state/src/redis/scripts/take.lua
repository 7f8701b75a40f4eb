-- KEYS: meta, seen, tips, log, fences.
-- ARGV: the entry for the log; the share; the window in writes and in bytes; the guard's name and revision; the fence's
-- scope and the fence.
local CHANGED, UNKNOWN, FENCED, FULL = 2, 3, 4, 5
local meta = redis.call('HMGET', KEYS[1], 'open', 'decided', 'bytes', 'dirty_writes', 'dirty_bytes', 'armed')
if meta[1] ~= '1' then return {CLOSED} end

if ARGV[7] ~= '' then
  local held = redis.call('HGET', KEYS[5], ARGV[7])
  if not held or (held ~= ARGV[8] and below(held, ARGV[8])) then return {UNKNOWN} end
  if held ~= ARGV[8] then return {FENCED} end
end

if ARGV[5] ~= '' then
  local lock = redis.call('HGET', KEYS[3], ARGV[5])
  if not lock or #lock == 8 then lock = redis.call('HGET', KEYS[2], ARGV[5]) end
  if not lock or string.sub(lock, 17, 24) ~= ARGV[6] or string.byte(lock, 25) ~= 1 then return {CHANGED} end
end

local entry = ARGV[1]
local cached, bytes, count, at = struct.unpack('>I1I8I4', entry)
local names, editions, tipped = {}, {}, false
for i = 1, count do
  local length, from = struct.unpack('>I2', entry, at)
  local name = string.sub(entry, from, from + length - 1)
  length, at = struct.unpack('>I4', entry, from + length)
  local edition = string.sub(entry, at, at + length - 1)
  at = at + length
  local newest = redis.call('HGET', KEYS[3], name)
  if newest then
    tipped = tipped or #newest > 8
  else
    newest = redis.call('HGET', KEYS[2], name)
  end
  -- An edition begins with the place of the one before it: what the write was judged by.
  if not newest or string.sub(newest, 1, 8) ~= string.sub(edition, 1, 8) then return {CHANGED} end
  names[i], editions[i] = name, edition
end

local dirty_writes, dirty_bytes = tonumber(meta[4]), tonumber(meta[5])
if cached == 1 then
  dirty_writes, dirty_bytes = dirty_writes + count, dirty_bytes + bytes
  if tipped or meta[6] ~= '1' or dirty_writes > tonumber(ARGV[3]) or dirty_bytes > tonumber(ARGV[4]) then
    return {FULL}
  end
end

-- Nothing is written before here, and nothing fails behind here.
local first, held = tonumber(meta[2]) + 1, tonumber(meta[3])
for i = 1, count do
  local seq = place(first + i - 1)
  if cached == 1 then
    held = held + 8 + #editions[i] - redis.call('HSTRLEN', KEYS[2], names[i])
    redis.call('HSET', KEYS[2], names[i], seq .. editions[i])
    redis.call('HSET', KEYS[3], names[i], seq)
  else
    redis.call('HSET', KEYS[3], names[i], seq .. editions[i])
  end
end
local last = digits(first + count - 1)
redis.call('XADD', KEYS[4], last .. '-0', 'e', entry)
if cached == 1 then
  held = evict(KEYS[2], KEYS[3], held, tonumber(ARGV[2]), {})
  redis.call('HSET', KEYS[1], 'decided', last, 'bytes', digits(held),
    'dirty_writes', digits(dirty_writes), 'dirty_bytes', digits(dirty_bytes))
else
  redis.call('HSET', KEYS[1], 'decided', last)
end
return {DONE, first}
