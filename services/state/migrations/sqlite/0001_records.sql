-- Who decides, and how far the store is. Every flush must find its own epoch and number here, so a process that was
-- paused before its commit cannot undo what came after.
CREATE TABLE decider (
  only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
  epoch       INTEGER NOT NULL REFERENCES epochs (epoch),
  flushes     INTEGER NOT NULL CHECK (flushes >= 0),
  fence_floor INTEGER NOT NULL CHECK (fence_floor >= 0)
) STRICT;

-- Every life of this data directory. 'lost' ended with CACHED writes that nobody will see again.
CREATE TABLE epochs (
  epoch   INTEGER PRIMARY KEY,
  state   TEXT NOT NULL CHECK (state IN ('current', 'lost', 'folded')),
  begun   INTEGER NOT NULL,
  ended   INTEGER,
  CHECK ((state = 'current') = (ended IS NULL))
) STRICT;
CREATE UNIQUE INDEX one_epoch_is_current ON epochs (state) WHERE state = 'current';

-- A dirty shard has acknowledged CACHED writes that may not be stored; the bound says how much at most. The floor is the
-- vector of every record of the shard that is not there.
CREATE TABLE shards (
  shard        INTEGER PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
  dirty        INTEGER NOT NULL DEFAULT 0 CHECK (dirty IN (0, 1)),
  bound_writes INTEGER NOT NULL DEFAULT 0 CHECK (bound_writes >= 0),
  bound_bytes  INTEGER NOT NULL DEFAULT 0 CHECK (bound_bytes >= 0),
  floor        BLOB
) STRICT;

-- One narrow row for each record: its content is its newest row in the history.
CREATE TABLE records (
  id        INTEGER PRIMARY KEY,
  tenant    TEXT NOT NULL,
  namespace TEXT NOT NULL,
  partition TEXT NOT NULL,
  key       TEXT NOT NULL,
  head      INTEGER NOT NULL,
  revision  INTEGER NOT NULL CHECK (revision >= 1),
  deleted   INTEGER NOT NULL CHECK (deleted IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX records_by_address ON records (tenant, namespace, partition, key);
CREATE INDEX tombstones ON records (head) WHERE deleted = 1;

-- Every accepted write, appended. `previous` leads back through a record's writes, so that no index grows with each.
CREATE TABLE history (
  seq          INTEGER PRIMARY KEY,
  record       INTEGER NOT NULL,
  previous     INTEGER NOT NULL CHECK (previous < seq),
  revision     INTEGER NOT NULL CHECK (revision >= 1),
  vector       BLOB NOT NULL,
  time         INTEGER NOT NULL,
  write_id     BLOB NOT NULL CHECK (length(write_id) = 16),
  invocation   TEXT NOT NULL,
  blind        INTEGER NOT NULL CHECK (blind IN (0, 1)),
  content_type TEXT,
  value        BLOB,
  CHECK ((content_type IS NULL) = (value IS NULL))
) STRICT;
CREATE INDEX blind_writes ON history (write_id, record) WHERE blind = 1;

-- The home of fences. No lease: raised from outside, nobody holds it.
CREATE TABLE fences (
  tenant TEXT NOT NULL,
  scope  TEXT NOT NULL,
  fence  INTEGER NOT NULL CHECK (fence >= 0),
  lease  TEXT,
  PRIMARY KEY (tenant, scope)
) STRICT, WITHOUT ROWID;
CREATE INDEX fences_by_age ON fences (fence);
