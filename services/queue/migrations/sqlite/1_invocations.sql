-- What was accepted: appended, never updated. The payload stands last, so that reading the rest does not touch it.
CREATE TABLE invocations (
    seq             INTEGER PRIMARY KEY,
    id              BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    tenant          TEXT NOT NULL CHECK (tenant <> ''),
    agent           TEXT NOT NULL CHECK (agent <> ''),
    session         TEXT CHECK (session <> ''),
    idempotency_key TEXT CHECK (idempotency_key <> ''),
    priority        INTEGER NOT NULL CHECK (priority BETWEEN -100 AND 100),
    not_before      INTEGER,
    deadline        INTEGER,
    retry           TEXT NOT NULL,
    labels          TEXT,
    parent          BLOB CHECK (length(parent) = 16),
    traceparent     TEXT NOT NULL,
    accepted_at     INTEGER NOT NULL,
    content_type    TEXT NOT NULL,
    bytes           INTEGER NOT NULL,
    payload         BLOB NOT NULL
) STRICT;
CREATE INDEX invocations_of_tenant ON invocations (tenant, seq);
CREATE INDEX invocations_of_session ON invocations (tenant, session, seq) WHERE session IS NOT NULL;

-- The order within a session is a counter; so is its fence.
CREATE TABLE sessions (
    session    INTEGER PRIMARY KEY,
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    next_order INTEGER NOT NULL CHECK (next_order > 1),
    fence      INTEGER NOT NULL CHECK (fence >= 0),
    UNIQUE (tenant, name)
) STRICT;

-- What has not ended, narrow and hot: QUEUED (1) has no lease, LEASED (2) has a whole one.
--
--   QUEUED ──granted──▶ LEASED ──completed, failed, cancelled, expired, lost too often──▶ a row of `ended`
--     ▲                   │ │
--     └─ failed, released,┘ └── cancelled, expired (also from QUEUED)
--        lost
CREATE TABLE live (
    id            BLOB PRIMARY KEY CHECK (length(id) = 16),
    seq           INTEGER NOT NULL,
    session       INTEGER,
    session_order INTEGER,
    state         INTEGER NOT NULL CHECK (state IN (1, 2)),
    attempt       INTEGER NOT NULL CHECK (attempt >= 0),
    lost          INTEGER NOT NULL CHECK (lost >= 0),
    events        INTEGER NOT NULL CHECK (events >= 1),
    fence         INTEGER NOT NULL CHECK (fence >= 0),
    loose_fence   INTEGER CHECK (loose_fence <= fence),
    tries         INTEGER NOT NULL CHECK (tries >= lost),
    started_at    INTEGER,
    next_at       INTEGER,
    lease         BLOB CHECK (length(lease) = 16),
    worker        TEXT,
    stream        BLOB CHECK (length(stream) = 16),
    leased_at     INTEGER,
    lease_event   INTEGER CHECK (lease_event <= events),
    CHECK ((session IS NULL) = (session_order IS NULL)),
    CHECK (CASE state
        WHEN 1 THEN coalesce(lease, worker, stream, leased_at, lease_event) IS NULL
        ELSE lease IS NOT NULL AND worker IS NOT NULL AND leased_at IS NOT NULL AND lease_event IS NOT NULL
            AND fence > 0 AND attempt > 0 AND started_at IS NOT NULL AND next_at IS NULL
    END)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX live_places ON live (session, session_order) WHERE session IS NOT NULL;
CREATE UNIQUE INDEX live_one_leased_in_a_session ON live (session) WHERE session IS NOT NULL AND state = 2;

-- What has ended, appended: SUCCEEDED (3) under a lease and with a result, FAILED (4), CANCELLED (5) and DEAD (6) with a
-- reason. One row for each: there is one terminal result.
CREATE TABLE ended (
    seq           INTEGER PRIMARY KEY,
    state         INTEGER NOT NULL CHECK (state IN (3, 4, 5, 6)),
    at            INTEGER NOT NULL,
    attempt       INTEGER NOT NULL CHECK (attempt >= 0),
    lost          INTEGER NOT NULL CHECK (lost >= 0),
    event         INTEGER NOT NULL CHECK (event > 1),
    started_at    INTEGER,
    lease         BLOB CHECK (length(lease) = 16),
    fence         INTEGER,
    worker        TEXT,
    stream        BLOB CHECK (length(stream) = 16),
    leased_at     INTEGER,
    lease_event   INTEGER CHECK (lease_event < event),
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reason        TEXT,
    message       TEXT,
    retryable     INTEGER CHECK (retryable IN (0, 1)),
    content_type  TEXT,
    result        BLOB,
    CHECK ((lease IS NULL) = (fence IS NULL) AND (lease IS NULL) = (worker IS NULL)
        AND (lease IS NULL) = (leased_at IS NULL) AND (lease IS NULL) = (lease_event IS NULL)),
    CHECK (CASE state
        WHEN 3 THEN lease IS NOT NULL AND result IS NOT NULL AND content_type IS NOT NULL
            AND coalesce(reason, message, retryable) IS NULL
        ELSE coalesce(result, content_type) IS NULL
            AND reason IS NOT NULL AND message IS NOT NULL AND retryable IS NOT NULL
    END)
) STRICT;

-- Leases that ended without a result: 1 failed, 2 lost, 3 handed back.
CREATE TABLE tries (
    seq         INTEGER NOT NULL,
    event       INTEGER NOT NULL,
    attempt     INTEGER NOT NULL CHECK (attempt > 0),
    lease       BLOB NOT NULL CHECK (length(lease) = 16),
    fence       INTEGER NOT NULL,
    worker      TEXT NOT NULL,
    stream      BLOB CHECK (length(stream) = 16),
    leased_at   INTEGER NOT NULL,
    lease_event INTEGER NOT NULL CHECK (lease_event < event),
    ended_at    INTEGER NOT NULL,
    kind        INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
    became      INTEGER NOT NULL CHECK (became IN (1, 4, 6)),
    next_at     INTEGER CHECK (next_at IS NULL OR became = 1),
    reason      TEXT,
    message     TEXT,
    retryable   INTEGER CHECK (retryable IN (0, 1)),
    PRIMARY KEY (seq, event),
    CHECK (CASE kind
        WHEN 3 THEN coalesce(reason, message, retryable) IS NULL AND became = 1
        ELSE reason IS NOT NULL AND message IS NOT NULL AND retryable IS NOT NULL
    END)
) STRICT, WITHOUT ROWID;

-- What workers tell while they work: bounded for each invocation, apart from the durable history.
CREATE TABLE reports (
    seq      INTEGER NOT NULL,
    event    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    message  TEXT,
    fraction REAL,
    attempt  INTEGER,
    chunk    BLOB,
    PRIMARY KEY (seq, event),
    CHECK ((message IS NULL) <> (chunk IS NULL)),
    CHECK ((chunk IS NULL) = (attempt IS NULL)),
    CHECK (fraction IS NULL OR message IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- The same key with the same payload is the same invocation.
CREATE TABLE idempotency_keys (
    tenant TEXT NOT NULL,
    agent  TEXT NOT NULL,
    key    TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    id     BLOB NOT NULL CHECK (length(id) = 16),
    PRIMARY KEY (tenant, agent, key)
) STRICT, WITHOUT ROWID;

-- Fences that state must still be told of: leases ended whose holders did not give them up.
CREATE TABLE fence_raises (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT NOT NULL,
    session    TEXT,
    invocation BLOB CHECK (length(invocation) = 16),
    fence      INTEGER NOT NULL CHECK (fence > 0),
    CHECK ((session IS NULL) <> (invocation IS NULL))
) STRICT;
