INSERT INTO fence_raises (tenant, session, invocation, fence)
SELECT * FROM unnest(?::text[], ?::text[], ?::uuid[], ?::bigint[])
