INSERT INTO reports (id, event, at, bytes, fraction, attempt, message, chunk)
SELECT
    unnest(?::uuid[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::double precision[]),
    unnest(?::integer[]), unnest(?::text[]), unnest(?::bytea[])
