-- KEYS: meta, fences, tickets. ARGV: the scope; the fence; the most copies; a ticket, or nothing to raise it in any case.
if redis.call('HGET', KEYS[1], 'open') ~= '1' then return {CLOSED} end
local scope, fence = ARGV[1], ARGV[2]
if ARGV[4] and redis.call('HGET', KEYS[3], 'f' .. scope) ~= ARGV[4] then return {DONE} end
-- Not of those that a full Redis refuses, so that what follows is let through: a fence must rise.
redis.call('HDEL', KEYS[3], 'f' .. scope)
local held = redis.call('HGET', KEYS[2], scope)
if not held then
  if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[2], redis.call('HRANDFIELD', KEYS[2]))
  end
elseif not below(held, fence) then
  -- An equal one is newer where it is nobody's.
  local ends = not below(fence, held) and string.byte(fence, 9) == 0 and string.byte(held, 9) == 1
  if not ends then return {DONE} end
end
redis.call('HSET', KEYS[2], scope, fence)
return {DONE}
