-- Who decides stays so until the transaction ends.
SELECT FROM deciders
WHERE deciders.only_row = 1 AND deciders.epoch = $1 AND deciders.who = $2
    AND deciders.timeline = ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
    AND deciders.server = (SELECT system_identifier FROM pg_control_system())
FOR SHARE
