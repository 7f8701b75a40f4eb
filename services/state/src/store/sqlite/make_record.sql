INSERT INTO records (id, tenant, namespace, partition, key)
VALUES (?1, ?2, ?3, ?4, ?5)
