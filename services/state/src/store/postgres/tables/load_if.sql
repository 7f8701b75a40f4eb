-- A row for each that is asked for, unless somebody else decides about its shard, or on another server.
SELECT asked.place, {edition}
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[])
    WITH ORDINALITY AS asked (shard, tenant, namespace, partition, key, place)
CROSS JOIN LATERAL (
    SELECT shards.shard FROM shards
    WHERE shards.shard = asked.shard AND shards.epoch = $6 AND shards.who = $7 AND shards.folds = $8
    LIMIT 1
) AS known
LEFT JOIN LATERAL (
    SELECT records.head FROM records
    WHERE records.tenant = asked.tenant AND records.namespace = asked.namespace
        AND records.partition = asked.partition AND records.key = asked.key
    LIMIT 1
) AS r ON true
LEFT JOIN LATERAL (
    SELECT * FROM history WHERE history.shard = asked.shard AND history.seq = r.head LIMIT 1
) AS h ON true
WHERE (
    SELECT deciders.timeline = ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
        AND deciders.server = (SELECT system_identifier FROM pg_control_system())
    FROM deciders WHERE deciders.only_row = 1
)
