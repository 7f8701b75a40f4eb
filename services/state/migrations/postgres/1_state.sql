-- Records, every write that made them, and who decides about them, for any number of state processes.
--
-- Who decides works under the lock of a shard's row: there stand the epoch, the decider and the place of the last write that
-- is stored. Places rise by shard, and become visible in their order, because one transaction after another raises them.
-- Sessions plan with index scans only, whatever the statistics say: every statement finds its rows by an index.

-- Every life of what decides. 'lost' ended with acknowledged writes that nobody will see again.
CREATE TABLE epochs (
    epoch bigint PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('current', 'lost', 'folded')),
    begun bigint NOT NULL,
    ended bigint,
    -- The dirty shards with which it ended, and how much of them may be lost at most.
    lost_shards integer[] NOT NULL DEFAULT '{}',
    lost_writes bigint NOT NULL DEFAULT 0 CHECK (lost_writes >= 0),
    lost_bytes bigint NOT NULL DEFAULT 0 CHECK (lost_bytes >= 0),
    CHECK ((state = 'current') = (ended IS NULL)),
    CHECK (state <> 'current' OR (lost_shards = '{}' AND lost_writes = 0 AND lost_bytes = 0))
);
CREATE UNIQUE INDEX one_epoch_is_current ON epochs (state) WHERE state = 'current';

-- Who decides, in one row. `place` is the life of the Redis, `server` and `timeline` are those of this PostgreSQL when the
-- epoch began: where they are others, it is another server, which may lack writes. `knowledge` rises with every change of
-- epochs and floors, so that who knows them need not read them again; `folds` with every epoch that is folded. `lease_ms`: the
-- longest that anybody believes in the epoch after a look at this row, said here before he does.
CREATE TABLE deciders (
    only_row    integer PRIMARY KEY CHECK (only_row = 1),
    epoch       bigint NOT NULL REFERENCES epochs (epoch),
    who         text NOT NULL CHECK (who IN ('postgres', 'redis')),
    place       text,
    draining    boolean NOT NULL DEFAULT false,
    fence_floor bigint NOT NULL DEFAULT 0 CHECK (fence_floor >= 0),
    server      bigint NOT NULL,
    timeline    bigint NOT NULL CHECK (timeline >= 1),
    folds       bigint NOT NULL DEFAULT 0 CHECK (folds >= 0),
    knowledge   bigint NOT NULL DEFAULT 0 CHECK (knowledge >= 0),
    lease_ms    bigint NOT NULL DEFAULT 0 CHECK (lease_ms >= 0),
    CHECK ((who = 'redis') = (place IS NOT NULL))
);

-- A dirty shard has acknowledged CACHED writes that may not be stored; the bound says how much at most. The floor is the
-- vector of every record of the shard that is not there. `swept`: how far its history was cut. Rows are wide apart, for each
-- is updated by every transaction that decides about its shard.
CREATE TABLE shards (
    shard        integer PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
    epoch        bigint NOT NULL REFERENCES epochs (epoch),
    who          text NOT NULL CHECK (who IN ('postgres', 'redis')),
    folds        bigint NOT NULL DEFAULT 0 CHECK (folds >= 0),
    position     bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    swept        bigint NOT NULL DEFAULT 0 CHECK (swept BETWEEN 0 AND position),
    dirty        boolean NOT NULL DEFAULT false,
    bound_writes bigint NOT NULL DEFAULT 0 CHECK (bound_writes >= 0),
    bound_bytes  bigint NOT NULL DEFAULT 0 CHECK (bound_bytes >= 0),
    floor        bytea,
    CHECK (dirty OR (bound_writes = 0 AND bound_bytes = 0)),
    CHECK (NOT dirty OR who = 'redis')
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- One narrow row for each record: its content is the row of the history at `head`. Of equal bytes, equal names: byte order
-- is the order of pages.
CREATE SEQUENCE record_ids;
CREATE TABLE records (
    id         bigint PRIMARY KEY CHECK (id > 0),
    head       bigint NOT NULL CHECK (head > 0),
    revision   bigint NOT NULL CHECK (revision >= 1),
    deleted_at bigint,
    expires    bigint,
    shard      integer NOT NULL CHECK (shard BETWEEN 0 AND 63),
    tenant     text COLLATE "C" NOT NULL,
    namespace  text COLLATE "C" NOT NULL,
    partition  text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    CHECK (deleted_at IS NULL OR expires IS NULL)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
CREATE UNIQUE INDEX records_by_address ON records (tenant, namespace, partition, key);
CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL;
CREATE INDEX tombstones ON records (deleted_at) WHERE deleted_at IS NOT NULL;

-- Every accepted write, appended. `previous` leads back through a record's writes, so that no index grows with each.
CREATE TABLE history (
    shard        integer NOT NULL CHECK (shard BETWEEN 0 AND 63),
    seq          bigint NOT NULL CHECK (seq > 0),
    record       bigint NOT NULL CHECK (record > 0),
    previous     bigint NOT NULL CHECK (previous >= 0 AND previous < seq),
    revision     bigint NOT NULL CHECK (revision >= 1),
    time         bigint NOT NULL,
    expires      bigint CHECK (expires IS NULL OR value IS NOT NULL),
    write_id     uuid NOT NULL,
    blind        boolean NOT NULL,
    vector       bytea NOT NULL CHECK (length(vector) > 0),
    invocation   text NOT NULL,
    content_type text,
    value        bytea,
    PRIMARY KEY (shard, seq),
    CHECK ((content_type IS NULL) = (value IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
CREATE INDEX blind_writes ON history (record, write_id) WHERE blind;

-- The home of fences. No lease: raised from outside, nobody holds it. `copies`: one bit for each shard that was given a copy
-- for its place of decision, in the epoch beside it.
CREATE TABLE fences (
    tenant       text COLLATE "C" NOT NULL,
    scope        text COLLATE "C" NOT NULL,
    fence        bigint NOT NULL CHECK (fence >= 0),
    lease        text,
    copies       bigint NOT NULL DEFAULT 0,
    copies_epoch bigint,
    PRIMARY KEY (tenant, scope),
    CHECK (copies = 0 OR copies_epoch IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX fences_by_age ON fences (fence);

-- What a process does of its own accord for all of them: who holds a row does a piece of it, and leaves there where the next
-- one goes on, and when.
CREATE TABLE duties (
    duty       text PRIMARY KEY CHECK (duty IN ('history', 'tombstones', 'fences', 'epochs')),
    shard      integer NOT NULL DEFAULT 0 CHECK (shard BETWEEN 0 AND 63),
    after      bigint NOT NULL DEFAULT 0 CHECK (after >= 0),
    begun      timestamptz NOT NULL DEFAULT now(),
    not_before timestamptz NOT NULL DEFAULT now()
);
