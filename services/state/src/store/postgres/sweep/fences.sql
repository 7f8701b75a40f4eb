WITH old AS MATERIALIZED (
    SELECT fences.tenant, fences.scope, fences.fence FROM fences
    WHERE fences.fence < $1
    ORDER BY fences.fence LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM fences USING old
    WHERE fences.tenant = old.tenant AND fences.scope = old.scope AND fences.fence < $1
    RETURNING fences.fence
), floor AS (
    UPDATE deciders SET fence_floor = greatest(deciders.fence_floor, (SELECT max(gone.fence) + 1 FROM gone))
    WHERE deciders.only_row = 1 AND EXISTS (SELECT FROM gone)
)
SELECT count(*) FROM gone
