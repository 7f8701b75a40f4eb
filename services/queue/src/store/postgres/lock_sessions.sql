INSERT INTO sessions AS known (session, next_order, head, fence)
SELECT asked.session, 1, 1, 0 FROM unnest($1::bigint[]) AS asked (session) ORDER BY asked.session
ON CONFLICT (session) DO UPDATE SET fence = known.fence
RETURNING known.session, known.next_order, known.head, known.fence
