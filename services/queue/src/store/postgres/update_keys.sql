UPDATE idempotency_keys AS known SET id = taken.id, digest = taken.digest
FROM unnest(?::text[], ?::text[], ?::text[], ?::uuid[], ?::bytea[]) AS taken (tenant, agent, key, id, digest)
WHERE known.tenant = ANY (ARRAY[taken.tenant]) AND known.agent = taken.agent AND known.key = taken.key
