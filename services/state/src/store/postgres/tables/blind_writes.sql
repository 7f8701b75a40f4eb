SELECT asked.place, {note}
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[])
    WITH ORDINALITY AS asked (shard, tenant, namespace, partition, key, write_id, place)
CROSS JOIN LATERAL (
    SELECT records.id FROM records
    WHERE records.tenant = asked.tenant AND records.namespace = asked.namespace
        AND records.partition = asked.partition AND records.key = asked.key
    LIMIT 1
) AS r
CROSS JOIN LATERAL (
    SELECT * FROM history WHERE history.record = r.id AND history.write_id = asked.write_id AND history.blind LIMIT 1
) AS h
