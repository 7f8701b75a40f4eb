-- Only what was written last by one of those transactions.
DELETE FROM live WHERE id = ANY (?::uuid[]) AND xmin = ANY (?::integer[]) RETURNING true
