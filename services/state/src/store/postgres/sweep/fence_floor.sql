UPDATE deciders SET fence_floor = greatest(deciders.fence_floor, old.fence + 1)
FROM (SELECT fences.fence FROM fences WHERE fences.fence < $1 ORDER BY fences.fence DESC LIMIT 1) AS old
WHERE deciders.only_row = 1
RETURNING deciders.fence_floor
