WITH old AS MATERIALIZED (
    SELECT fences.tenant, fences.scope FROM fences
    WHERE fences.fence < $1
    ORDER BY fences.fence LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM fences USING old
    WHERE fences.tenant = ANY (ARRAY[old.tenant]) AND fences.scope = old.scope
    RETURNING fences.fence
)
SELECT count(*) FROM gone
