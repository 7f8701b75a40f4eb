INSERT INTO heads (record, seq, revision, deleted, expires) VALUES (?1, ?2, ?3, ?4, ?5)
