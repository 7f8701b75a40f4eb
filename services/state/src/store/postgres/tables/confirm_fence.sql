-- Copies of another epoch have died with it.
UPDATE fences SET
    copies = CASE WHEN copies_epoch = $5 THEN copies ELSE 0 END | $6, copies_epoch = $5
WHERE tenant = $1 AND scope = $2 AND fence = $3 AND lease IS NOT DISTINCT FROM $4
