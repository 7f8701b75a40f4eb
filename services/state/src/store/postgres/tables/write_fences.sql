INSERT INTO fences AS known (tenant, scope, fence, lease)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS given (tenant, scope, fence, lease)
WHERE given.fence >= (SELECT deciders.fence_floor FROM deciders WHERE deciders.only_row = 1)
ON CONFLICT (tenant, scope) DO UPDATE SET fence = excluded.fence, lease = excluded.lease
WHERE excluded.fence > known.fence OR (excluded.fence = known.fence AND excluded.lease IS NULL)
