-- Superseded writes that are too old or too many for their record, and those of records that are forgotten.
DELETE FROM history
WHERE seq IN (
  SELECT h.seq
  FROM history h LEFT JOIN records r ON r.id = h.record
  WHERE h.seq > ?1 AND h.seq <= ?2
    AND (r.id IS NULL OR (r.head <> h.seq AND (h.time < ?3 OR h.revision <= r.revision - ?4)))
)
