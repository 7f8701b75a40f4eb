UPDATE deciders SET
    epoch = $1, who = $2, place = $3, draining = false, lease_ms = 0, knowledge = knowledge + 1,
    server = (SELECT system_identifier FROM pg_control_system()),
    timeline = ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
WHERE only_row = 1
