UPDATE duties SET
    shard = 0, after = 0,
    not_before = now() + least(greatest($2 * interval '1 second', 10 * (now() - begun)), interval '12 hours')
WHERE duty = $1
