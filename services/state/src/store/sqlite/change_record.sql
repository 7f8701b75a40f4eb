UPDATE records SET head = ?2, revision = ?3, deleted = ?4, expires = ?5 WHERE id = ?1
