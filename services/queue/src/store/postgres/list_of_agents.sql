SELECT page.id FROM unnest($15::text[]) AS types (agent) CROSS JOIN LATERAL ({list}) AS page
