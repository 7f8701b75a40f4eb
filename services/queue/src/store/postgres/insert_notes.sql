-- Whoever is gone takes no notes.
INSERT INTO notes (writer, kind, id, lease, reason)
SELECT note.* FROM unnest(?::bigint[], ?::integer[], ?::uuid[], ?::uuid[], ?::text[])
    AS note (writer, kind, id, lease, reason)
WHERE EXISTS (SELECT FROM processes WHERE processes.writer = note.writer AND NOT is_buried)
