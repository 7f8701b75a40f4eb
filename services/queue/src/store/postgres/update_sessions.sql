UPDATE sessions SET next_order = changed.next_order, head = changed.head, fence = changed.fence
FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[]) AS changed (session, next_order, head, fence)
WHERE sessions.session = ANY (ARRAY[changed.session])
