SELECT i.id FROM {from}
LEFT JOIN live ON live.id = ANY (ARRAY[i.id])
LEFT JOIN ended ON ended.id = ANY (ARRAY[i.id])
WHERE {condition} AND {id} >= $7 AND {id} < $8
    AND ($1::text IS NULL OR i.tenant = $1)
    AND ($2::text IS NULL OR i.agent = $2)
    AND ($3::text IS NULL OR i.session = $3)
    AND (cardinality($4::integer[]) = 0 OR coalesce(ended.state, live.state) = ANY ($4))
    AND (cardinality($5::text[]) = 0 OR cardinality($5::text[]) = (
        SELECT count(*) FROM unnest($5::text[], $6::text[]) AS wanted (name, value)
        WHERE (
            SELECT true FROM labels
            WHERE labels.tenant = i.tenant AND labels.name = wanted.name AND labels.value = wanted.value AND labels.id = i.id
        )
    ))
    AND i.accepted_at >= $9 AND i.accepted_at < $10
    AND ($11::bigint IS NULL OR ended.at >= $11) AND ($12::bigint IS NULL OR ended.at < $12)
ORDER BY {of_tenant}{id} {direction} LIMIT $13
