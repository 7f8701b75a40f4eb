UPDATE ended SET input_tokens = used.input_tokens, output_tokens = used.output_tokens
FROM unnest(?::uuid[], ?::bigint[], ?::bigint[]) AS used (id, input_tokens, output_tokens)
WHERE ended.id = ANY (ARRAY[used.id])
