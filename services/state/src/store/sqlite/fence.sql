-- A fence never falls; an equal one may lose its lease.
INSERT INTO fences (tenant, scope, fence, lease) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (tenant, scope) DO UPDATE SET fence = excluded.fence, lease = excluded.lease
WHERE excluded.fence > fences.fence OR (excluded.fence = fences.fence AND excluded.lease IS NULL)
