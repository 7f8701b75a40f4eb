-- What changes with each write, apart from the names, which never change: many records' rows share a page, so a commit writes
-- few pages.
CREATE TABLE heads (
  record   INTEGER PRIMARY KEY,
  seq      INTEGER NOT NULL,
  revision INTEGER NOT NULL CHECK (revision >= 1),
  deleted  INTEGER NOT NULL CHECK (deleted IN (0, 1)),
  expires  INTEGER
) STRICT;
INSERT INTO heads (record, seq, revision, deleted, expires) SELECT id, head, revision, deleted, expires FROM records;

DROP INDEX tombstones;
DROP INDEX records_by_expiry;
ALTER TABLE records DROP COLUMN head;
ALTER TABLE records DROP COLUMN revision;
ALTER TABLE records DROP COLUMN deleted;
ALTER TABLE records DROP COLUMN expires;

CREATE INDEX tombstones ON heads (seq) WHERE deleted = 1;
CREATE INDEX heads_by_expiry ON heads (expires) WHERE expires IS NOT NULL AND deleted = 0;
