-- Under the locks of the shards' rows. A record's row is replaced only where it is the one that the write was judged by; where
-- there is none it is made, also after a tombstone, which may have been forgotten meanwhile. Where one is not as expected the
-- counts do not match, and the caller undoes all of it.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::integer[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::bigint[]
    ) WITH ORDINALITY AS given (
        shard, tenant, namespace, partition, key, expected, head, revision, deleted_at, expires, place
    )
), changed AS (
    UPDATE records SET
        head = given.head, revision = given.revision, deleted_at = given.deleted_at, expires = given.expires
    FROM given
    WHERE records.tenant = given.tenant AND records.namespace = given.namespace
        AND records.partition = given.partition AND records.key = given.key AND records.head = given.expected
    RETURNING given.place, records.id
), fresh AS MATERIALIZED (
    SELECT nextval('record_ids') AS id, given.* FROM given
    WHERE NOT EXISTS (
        SELECT FROM records
        WHERE records.tenant = given.tenant AND records.namespace = given.namespace
            AND records.partition = given.partition AND records.key = given.key
    )
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
    FROM unnest(
        $11::integer[], $12::bigint[], $13::integer[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[],
        $18::uuid[], $19::boolean[], $20::bytea[], $21::text[], $22::text[], $23::bytea[]
    ) AS written (
        shard, seq, record, previous, revision, time, expires, write_id, blind, vector, invocation, content_type, value
    )
    WHERE (SELECT cardinality(ids) FROM numbers) = cardinality($1)
), advanced AS (
    UPDATE shards SET position = given.until
    FROM unnest($24::integer[], $25::bigint[], $26::bigint[]) AS given (shard, seen, until)
    WHERE shards.shard = given.shard AND shards.position = given.seen AND given.until > given.seen
    RETURNING shards.shard
)
SELECT pg_current_xact_id()::text, (SELECT count(*) FROM changed) + (SELECT count(*) FROM made),
    (SELECT count(*) FROM advanced)
