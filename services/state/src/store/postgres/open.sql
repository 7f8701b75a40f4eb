-- Whoever is second waits for the first one's commit at the only row, and finds that it is there.
WITH decider AS (
    INSERT INTO deciders (only_row, epoch, who, server, timeline)
    SELECT 1, $1, 'postgres', pg_control_system.system_identifier,
        ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
    FROM pg_control_system()
    ON CONFLICT DO NOTHING
    RETURNING epoch
), epoch AS (
    INSERT INTO epochs (epoch, state, begun) SELECT epoch, 'current', $2 FROM decider
)
INSERT INTO shards (shard, epoch, who)
SELECT given.shard, decider.epoch, 'postgres' FROM decider, unnest($3::integer[]) AS given (shard)
