INSERT INTO history (seq, record, previous, revision, vector, time, write_id, invocation, blind, content_type, value, expires)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
