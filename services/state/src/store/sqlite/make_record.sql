INSERT INTO records (id, tenant, namespace, partition, key, head, revision, deleted, expires)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
