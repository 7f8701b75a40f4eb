-- KEYS: meta.
redis.call('HDEL', KEYS[1], 'open')
return {DONE}
