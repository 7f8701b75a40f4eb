INSERT INTO reports (id, event, at, bytes, fraction, attempt, message, chunk)
SELECT * FROM unnest(
    ?::uuid[], ?::bigint[], ?::bigint[], ?::bigint[], ?::double precision[], ?::integer[], ?::text[], ?::bytea[]
)
