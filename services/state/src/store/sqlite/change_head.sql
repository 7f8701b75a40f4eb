UPDATE heads SET seq = ?2, revision = ?3, deleted = ?4, expires = ?5 WHERE record = ?1
