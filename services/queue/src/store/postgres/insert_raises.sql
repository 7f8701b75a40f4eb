INSERT INTO fence_raises (tenant, session, invocation, fence)
SELECT unnest(?::text[]), unnest(?::text[]), unnest(?::uuid[]), unnest(?::bigint[])
