SELECT epoch, place, draining, fence_floor, server, timeline,
    (SELECT system_identifier FROM pg_control_system()),
    ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint,
    folds, knowledge, lease_ms
FROM deciders WHERE only_row = 1
