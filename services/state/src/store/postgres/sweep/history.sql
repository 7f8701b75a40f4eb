-- Superseded writes that are too old or too many for their record, and those of records that are forgotten. The last row that
-- was looked at is where the next piece goes on from; the last that is gone is how far a watch may have missed something.
WITH looked AS MATERIALIZED (
    SELECT history.seq, history.record, history.time, history.revision FROM history
    WHERE history.shard = $1 AND history.seq > $2
    ORDER BY history.seq LIMIT $3
), old AS MATERIALIZED (
    SELECT $1::integer AS shard, looked.seq FROM looked
    LEFT JOIN LATERAL (
        SELECT records.head, records.revision FROM records WHERE records.id = looked.record LIMIT 1
    ) AS r ON true
    WHERE r.head IS NULL
        OR (r.head <> looked.seq AND (looked.time < $4 OR looked.revision <= r.revision - $5))
), gone AS (
    DELETE FROM history USING old WHERE history.shard = ANY (ARRAY[old.shard]) AND history.seq = old.seq
    RETURNING history.seq
), cut AS (
    UPDATE shards SET swept = greatest(shards.swept, (SELECT max(gone.seq) FROM gone))
    WHERE shards.shard = $1 AND EXISTS (SELECT FROM gone)
)
SELECT (SELECT max(looked.seq) FROM looked), (SELECT count(*) FROM gone)
