-- KEYS: meta, seen, heads, tickets. ARGV: the share; then for each record its name, its ticket, and what seen is to hold.
local meta = redis.call('HMGET', KEYS[1], 'open', 'bytes')
if meta[1] ~= '1' then return {CLOSED} end
local held, spared = tonumber(meta[2]), {}
for i = 2, #ARGV, 3 do
  local name, ticket, edition = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  spared[name] = true
  if redis.call('HGET', KEYS[4], 'r' .. name) == ticket then
    -- No record is as one of revision 0 that is deleted.
    local newest = #edition > 8 and string.sub(edition, 1, 8) .. string.sub(edition, 17, 25) or string.rep('\0', 17)
    redis.call('HSET', KEYS[3], name, newest .. struct.pack('>I1I4I8', STORED, #edition, 0))
    redis.call('HSET', KEYS[2], name, edition)
    redis.call('HDEL', KEYS[4], 'r' .. name)
    held = held + OVERHEAD + 2 * #name + #edition
  end
end
held = evict(KEYS[2], KEYS[3], held, tonumber(ARGV[1]), spared)
redis.call('HSET', KEYS[1], 'bytes', digits(held))
return {DONE}
