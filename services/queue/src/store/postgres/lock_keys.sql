SELECT FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (tenant, agent, key)
JOIN idempotency_keys AS known
    ON known.tenant = ANY (ARRAY[asked.tenant]) AND known.agent = asked.agent AND known.key = asked.key
FOR UPDATE OF known
