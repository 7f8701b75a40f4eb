INSERT INTO ready (writer, rank, id, ready_at, accepted_at, bytes, priority, agent, tenant)
SELECT
    unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::uuid[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]),
    unnest(?::integer[]), unnest(?::text[]), unnest(?::text[])
