-- Under the locks of the shards' rows. A record's row is replaced only where it is the one that the write was judged by; where
-- there is none it is made, also after a tombstone, which may have been forgotten meanwhile. Where one is not as expected the
-- counts do not match, and the caller undoes all of it. Arrays are unnested in select lists: as arguments of one table function
-- each would be stored and read again. Records are not joined by `=`, and not looked for by EXISTS: where the server believes
-- the table to be empty it would walk over all of it.
WITH given AS MATERIALIZED (
    SELECT
        unnest($1::integer[]) AS shard, unnest($2::text[]) AS tenant, unnest($3::text[]) AS namespace,
        unnest($4::text[]) AS partition, unnest($5::text[]) AS key, unnest($6::bigint[]) AS expected,
        unnest($7::bigint[]) AS head, unnest($8::bigint[]) AS revision, unnest($9::bigint[]) AS deleted_at,
        unnest($10::bigint[]) AS expires, generate_subscripts($1::integer[], 1) AS place
), changed AS (
    UPDATE records SET
        head = given.head, revision = given.revision, deleted_at = given.deleted_at, expires = given.expires
    FROM given
    WHERE records.tenant = ANY (ARRAY[given.tenant]) AND records.namespace = given.namespace
        AND records.partition = given.partition AND records.key = given.key AND records.head = given.expected
    RETURNING given.place, records.id
), fresh AS MATERIALIZED (
    SELECT nextval('record_ids') AS id, given.* FROM given
    WHERE (
        SELECT true FROM records
        WHERE records.tenant = given.tenant AND records.namespace = given.namespace
            AND records.partition = given.partition AND records.key = given.key
    ) IS NULL
), made AS (
    INSERT INTO records (id, head, revision, deleted_at, expires, shard, tenant, namespace, partition, key)
    SELECT id, head, revision, deleted_at, expires, shard, tenant, namespace, partition, key FROM fresh
    ON CONFLICT DO NOTHING
    RETURNING id
), numbers AS MATERIALIZED (
    SELECT array_agg(id ORDER BY place) AS ids
    FROM (SELECT place, id FROM changed UNION ALL SELECT place, id FROM fresh) AS stored
), written AS (
    INSERT INTO history (
        shard, seq, record, previous, revision, time, expires, write_id, blind, vector, invocation, content_type, value
    )
    SELECT shard, seq, (SELECT ids FROM numbers)[record], previous, revision, time, expires, write_id, blind, vector,
        invocation, content_type, value
    FROM (
        SELECT
            unnest($11::integer[]) AS shard, unnest($12::bigint[]) AS seq, unnest($13::integer[]) AS record,
            unnest($14::bigint[]) AS previous, unnest($15::bigint[]) AS revision, unnest($16::bigint[]) AS time,
            unnest($17::bigint[]) AS expires, unnest($18::uuid[]) AS write_id, unnest($19::boolean[]) AS blind,
            unnest($20::bytea[]) AS vector, unnest($21::text[]) AS invocation, unnest($22::text[]) AS content_type,
            unnest($23::bytea[]) AS value
    ) AS written
    WHERE (SELECT cardinality(ids) FROM numbers) = cardinality($1)
), advanced AS (
    UPDATE shards SET position = given.until
    FROM unnest($24::integer[], $25::bigint[], $26::bigint[]) AS given (shard, seen, until)
    WHERE shards.shard = given.shard AND shards.position = given.seen AND given.until > given.seen
    RETURNING shards.shard
)
SELECT (SELECT count(*) FROM changed) + (SELECT count(*) FROM made), (SELECT count(*) FROM advanced)
