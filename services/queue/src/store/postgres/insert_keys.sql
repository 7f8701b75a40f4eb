INSERT INTO idempotency_keys (tenant, agent, key, id, digest)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::bytea[])
ON CONFLICT (tenant, agent, key) DO NOTHING
RETURNING id
