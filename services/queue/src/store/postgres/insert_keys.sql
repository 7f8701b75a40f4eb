INSERT INTO idempotency_keys (tenant, agent, key, id, digest)
SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::uuid[]), unnest($5::bytea[])
ON CONFLICT (tenant, agent, key) DO NOTHING
RETURNING id
