-- A list of more than two values is a table of its own, made anew for each row that is checked. What is on disk does not change,
-- so the words alone are changed: https://sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes".
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'state IN (3, 4, 5, 6)', 'state BETWEEN 3 AND 6') WHERE name = 'ended';
UPDATE sqlite_schema SET sql = replace(sql, 'kind IN (1, 2, 3)', 'kind BETWEEN 1 AND 3') WHERE name = 'tries';
UPDATE sqlite_schema SET sql = replace(sql, 'became IN (1, 4, 6)', 'became = 1 OR became = 4 OR became = 6')
    WHERE name = 'tries';
UPDATE sqlite_schema SET sql = replace(sql, 'state IN (4, 5, 6)', 'state BETWEEN 4 AND 6')
    WHERE name IN ('past_ends', 'unsuccessful');
PRAGMA writable_schema = RESET;
