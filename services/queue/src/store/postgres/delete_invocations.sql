-- A redrive locks the end that it takes back: one that is being redriven stays.
WITH old AS MATERIALIZED (
    SELECT id FROM ended WHERE id >= $1 AND id < $2 AND at < $3 FOR UPDATE SKIP LOCKED
), asked AS (
    DELETE FROM invocations USING old WHERE invocations.id = ANY (ARRAY[old.id])
    RETURNING invocations.id, invocations.tenant, invocations.agent, invocations.idempotency_key, invocations.labels
), a AS (
    DELETE FROM idempotency_keys AS known USING asked
    WHERE known.tenant = ANY (ARRAY[asked.tenant]) AND known.agent = asked.agent AND known.key = asked.idempotency_key
        AND known.id = ANY (ARRAY[asked.id])
), marks AS MATERIALIZED (
    SELECT asked.tenant, label.name, label.value, asked.id
    FROM asked CROSS JOIN LATERAL jsonb_each_text(asked.labels) AS label (name, value)
), b AS (
    DELETE FROM labels USING marks
    WHERE labels.tenant = ANY (ARRAY[marks.tenant]) AND labels.name = marks.name AND labels.value = marks.value
        AND labels.id = marks.id
), c AS (
    DELETE FROM reports USING old WHERE reports.id = ANY (ARRAY[old.id])
), d AS (
    DELETE FROM tries USING old WHERE tries.id = ANY (ARRAY[old.id])
), e AS (
    DELETE FROM past_ends USING old WHERE past_ends.id = ANY (ARRAY[old.id])
), f AS (
    DELETE FROM ended USING old WHERE ended.id = ANY (ARRAY[old.id])
)
SELECT count(*) FROM asked
