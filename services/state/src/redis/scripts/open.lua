-- KEYS: meta, the epochs of the shard. ARGV: the epoch; the place up to which all is stored.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'open', '1', 'decided', ARGV[2], 'stored', ARGV[2], 'bytes', '0',
    'dirty_writes', '0', 'dirty_bytes', '0', 'oldest', '0', 'unstored', '0', 'armed', '0')
  redis.call('SADD', KEYS[2], ARGV[1])
end
return {DONE}
