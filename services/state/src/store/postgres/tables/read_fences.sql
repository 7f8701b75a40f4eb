-- A row for each that is asked for, unless somebody else decides, or on another server.
SELECT asked.place, f.fence, f.lease, d.fence_floor
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (tenant, scope, place)
CROSS JOIN LATERAL (
    SELECT deciders.fence_floor FROM deciders
    WHERE deciders.only_row = 1 AND deciders.epoch = $3 AND deciders.who = $4
        AND deciders.timeline = ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
        AND deciders.server = (SELECT system_identifier FROM pg_control_system())
    LIMIT 1
) AS d
LEFT JOIN LATERAL (
    SELECT fences.fence, fences.lease FROM fences
    WHERE fences.tenant = asked.tenant AND fences.scope = asked.scope
    LIMIT 1
) AS f ON true
