-- The timeline is asked of the log that is being written: after a failover it is another one at once. Another cluster may
-- have the same.
SELECT shards.shard, shards.epoch, shards.who, shards.folds, shards.position, shards.floor, shards.dirty,
    shards.bound_writes, shards.bound_bytes,
    (SELECT deciders.timeline = ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
        AND deciders.server = (SELECT system_identifier FROM pg_control_system())
        FROM deciders WHERE deciders.only_row = 1)
FROM shards
WHERE shards.shard = ANY ($1::integer[])
ORDER BY shards.shard
FOR NO KEY UPDATE OF shards
