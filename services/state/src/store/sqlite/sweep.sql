-- Superseded writes that are too old or too many for their record, and those of records that are forgotten.
DELETE FROM history
WHERE seq IN (
  SELECT h.seq
  FROM history h LEFT JOIN heads n ON n.record = h.record
  WHERE h.seq > ?1 AND h.seq <= ?2
    AND (n.record IS NULL OR (n.seq <> h.seq AND (h.time < ?3 OR h.revision <= n.revision - ?4)))
)
