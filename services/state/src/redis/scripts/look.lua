-- KEYS: meta, seen, heads, log. ARGV: names.
-- Answers what is visible, the heads, and the entries of the log that hold what is not visible yet.
if redis.call('HGET', KEYS[1], 'open') ~= '1' then return {CLOSED} end
local heads = redis.call('HMGET', KEYS[3], unpack(ARGV))
local entries, known = {}, {}
for i = 1, #ARGV do
  local head = heads[i]
  if head and state_of(head) == TIP then
    local last = digits((struct.unpack('>I8', head, 23)))
    if not known[last] then
      known[last] = true
      local row = redis.call('XRANGE', KEYS[4], last, last)[1]
      -- What was decided and is not in the log has been taken out of it.
      if not row then
        redis.call('HDEL', KEYS[1], 'open')
        return {CLOSED}
      end
      entries[#entries + 1] = last
      entries[#entries + 1] = row[2][2]
    end
  end
end
return {DONE, redis.call('HMGET', KEYS[2], unpack(ARGV)), heads, entries}
