INSERT INTO ready (writer, rank, id, ready_at, accepted_at, bytes, priority, agent, tenant)
SELECT * FROM unnest(
    ?::bigint[], ?::bigint[], ?::uuid[], ?::bigint[], ?::bigint[], ?::bigint[], ?::integer[], ?::text[], ?::text[]
)
