-- What several scripts need. A script's keys, as far as it names them, are all of one shard and one epoch:
-- meta, a hash: where the shard stands; a closed epoch's lacks 'open';
-- seen, a hash: what is visible of each record, as its place (8 bytes) and the edition, or 8 zeros for no record;
-- heads, a hash: of each record that is in seen, what a write is judged by, so that it moves no content:
--   the newest edition's place (8), its revision (8), whether there is a record after it (1);
--   how it stands (1); the length of what is visible (4); the last place of its entry in the log (8);
-- log, a stream: one entry a write, named by its last place and when it was taken, in milliseconds;
-- fences and tickets, two hashes.

local CLOSED, DONE = -1, 0
-- How a newest edition stands: stored; CACHED, visible and not stored; DURABLE, to be visible once it is stored.
local STORED, CACHED, TIP = 0, 1, 2
-- What a record takes beside its content and twice its name.
local OVERHEAD = 200

local function place(number)
  return struct.pack('>I8', number)
end

-- Numbers beyond 14 digits would be written with an exponent.
local function digits(number)
  return string.format('%.0f', number)
end

local function state_of(head)
  return string.byte(head, 18)
end

local function visible_length(head)
  return (struct.unpack('>I4', head, 19))
end

-- The editions of an entry: a name each, where it begins and where it ends.
local function editions(entry, count, at)
  local names, from, to = {}, {}, {}
  for i = 1, count do
    local length, next = struct.unpack('>I2', entry, at)
    names[i] = string.sub(entry, next, next + length - 1)
    length, from[i] = struct.unpack('>I4', entry, next + length)
    to[i] = from[i] + length - 1
    at = to[i] + 1
  end
  return names, from, to
end

-- Evicts records at rest, picked at random, until the share holds or none is found.
local function evict(seen, heads, bytes, share, spared)
  local tries, misses = 200, 0
  while bytes > share and tries > 0 and misses < 8 do
    tries = tries - 1
    local name = redis.call('HRANDFIELD', seen)
    if not name then break end
    local head = redis.call('HGET', heads, name)
    if spared[name] or not head or state_of(head) ~= STORED then
      misses = misses + 1
    else
      bytes = bytes - OVERHEAD - 2 * #name - visible_length(head)
      redis.call('HDEL', seen, name)
      redis.call('HDEL', heads, name)
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
