SELECT {live} FROM live WHERE id = ANY ($1::uuid[])
UNION ALL
SELECT member.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS asked (session, head, members)
CROSS JOIN LATERAL (
    SELECT {live} FROM live
    WHERE live.session = asked.session AND live.session_order >= asked.head
    ORDER BY live.session_order LIMIT asked.members
) AS member
