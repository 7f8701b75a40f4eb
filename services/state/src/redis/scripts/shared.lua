-- What several scripts need. A script's keys, as far as it names them, are all of one shard and one epoch:
-- meta, a hash: where the shard stands;
-- seen, a hash: what is visible of each record, as its place (8 bytes) and the edition, or 8 zeros for no record;
-- tips, a hash: what is not stored of each record: a DURABLE edition as in seen, or the place alone of a CACHED one;
-- log, a stream: one entry a write, named by its last place;
-- fences and tickets, two hashes.

local CLOSED, DONE = -1, 0
local OVERHEAD = 96

local function place(number)
  return struct.pack('>I8', number)
end

-- Numbers beyond 14 digits would be written with an exponent.
local function digits(number)
  return string.format('%.0f', number)
end

-- Evicts records at rest, picked at random, until the share holds or none is found.
local function evict(seen, tips, bytes, share, spared)
  local tries, misses = 200, 0
  while bytes > share and tries > 0 and misses < 8 do
    tries = tries - 1
    local name = redis.call('HRANDFIELD', seen)
    if not name then break end
    if spared[name] or redis.call('HEXISTS', tips, name) == 1 then
      misses = misses + 1
    else
      bytes = bytes - OVERHEAD - #name - redis.call('HSTRLEN', seen, name)
      redis.call('HDEL', seen, name)
      misses = 0
    end
  end
  return bytes
end

-- Whether a fence is below another: their numbers are too large for a double.
local function below(fence, other)
  local high, low = struct.unpack('>I4I4', fence)
  local other_high, other_low = struct.unpack('>I4I4', other)
  return high < other_high or (high == other_high and low < other_low)
end
