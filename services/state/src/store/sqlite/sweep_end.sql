-- The last of the next ?2 rows behind ?1.
SELECT max(seq) FROM (SELECT seq FROM history WHERE seq > ?1 ORDER BY seq LIMIT ?2)
