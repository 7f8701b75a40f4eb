-- What the scripts share. KEYS[1] is a circuit's hash, KEYS[2] the probes under way: ids by when each is given up.
-- Fields: v, its version, which only rises; s, until and n, how it stands; why; ok, probes that have succeeded;
-- stamp, mode and word, what an operator said last. Times are Redis's own, in microseconds.
local KEEP_MS = 86400000

local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function whole(number)
  return string.format('%.0f', number)
end

-- How a circuit stands, or nothing where it is not known here.
local function standing(key, at)
  local f = redis.call('HMGET', key, 'v', 's', 'until', 'n', 'why', 'stamp', 'word')
  if not f[1] then
    return {}
  end
  local left = math.max(0, (tonumber(f[3]) or 0) - at)
  return { f[1], f[2], whole(left), f[4], f[5], f[6] or '0', f[7] or '' }
end

-- One change, with a new version, told to all.
local function change(key, at, channel, name, ...)
  local v = math.max(at, (tonumber(redis.call('HGET', key, 'v')) or 0) + 1)
  redis.call('HSET', key, 'v', whole(v), ...)
  redis.call('PEXPIRE', key, KEEP_MS)
  redis.call('PUBLISH', channel, name)
end
