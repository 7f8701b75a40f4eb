WITH told AS MATERIALIZED (
    SELECT DISTINCT id FROM reports WHERE id >= $1 AND id < $2
), gone AS (
    DELETE FROM reports USING told JOIN ended ON ended.id = ANY (ARRAY[told.id])
    WHERE reports.id = ANY (ARRAY[told.id]) AND ended.at < $3
    RETURNING reports.id
)
SELECT count(DISTINCT id) FROM gone
