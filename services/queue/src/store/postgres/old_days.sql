SELECT day FROM generate_series($1::bigint, $2::bigint) AS day
WHERE to_regclass('invocations_day_' || day) IS NOT NULL ORDER BY day
