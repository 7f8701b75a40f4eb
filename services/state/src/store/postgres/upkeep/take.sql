-- By the server's clock, and not for ever where that has jumped back.
WITH mine AS MATERIALIZED (
    SELECT duties.duty FROM duties
    WHERE duties.duty = $1 AND (duties.not_before <= now() OR duties.not_before > now() + interval '1 day')
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE duties SET begun = CASE WHEN duties.shard = 0 AND duties.after = 0 THEN now() ELSE duties.begun END
FROM mine WHERE duties.duty = mine.duty
RETURNING duties.shard, duties.after
