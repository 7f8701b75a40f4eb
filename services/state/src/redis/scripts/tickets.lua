-- KEYS: meta, seen, tickets. ARGV: the most tickets; 'r' for records or 'f' for fences; names.
if redis.call('HGET', KEYS[1], 'open') ~= '1' then return {CLOSED} end
local given = {}
for i = 3, #ARGV do
  local wanted = ARGV[2] .. ARGV[i]
  if ARGV[2] == 'r' and redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then
    given[i - 2] = ''
  else
    local ticket = redis.call('HGET', KEYS[3], wanted)
    if not ticket then
      if redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[1]) then
        redis.call('HDEL', KEYS[3], redis.call('HRANDFIELD', KEYS[3]))
      end
      ticket = digits(redis.call('HINCRBY', KEYS[1], 'tickets', 1))
      redis.call('HSET', KEYS[3], wanted, ticket)
    end
    given[i - 2] = ticket
  end
end
return {DONE, given}
