SELECT asked.place, {edition}
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[])
    WITH ORDINALITY AS asked (shard, tenant, namespace, partition, key, place)
CROSS JOIN LATERAL (
    SELECT records.head FROM records
    WHERE records.tenant = asked.tenant AND records.namespace = asked.namespace
        AND records.partition = asked.partition AND records.key = asked.key
    LIMIT 1
) AS r
CROSS JOIN LATERAL (
    SELECT * FROM history WHERE history.shard = asked.shard AND history.seq = r.head LIMIT 1
) AS h
