-- The queue's tables where several processes share them. Hot rows are narrow and apart from payloads; what grows with time
-- is keyed by id (a UUIDv7, so by time) and partitioned by it, so that whole days can be dropped.

-- Queue processes. No number is used twice. A buried one stays as long as something ready stands under its number.
CREATE TABLE processes (
    writer     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    beat       bigint NOT NULL DEFAULT 0,
    drain_rate double precision NOT NULL DEFAULT 0,
    last_rank  bigint NOT NULL DEFAULT 0,
    is_leaving boolean NOT NULL DEFAULT false,
    is_buried  boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- What was accepted: appended. Payloads are stored apart by the server where they are large.
CREATE TABLE invocations (
    id              uuid NOT NULL PRIMARY KEY,
    accepted_at     bigint NOT NULL,
    not_before      bigint,
    deadline        bigint,
    bytes           bigint NOT NULL,
    priority        integer NOT NULL CHECK (priority BETWEEN -100 AND 100),
    parent          uuid,
    tenant          text NOT NULL CHECK (tenant <> ''),
    agent           text NOT NULL CHECK (agent <> ''),
    session         text CHECK (session <> ''),
    idempotency_key text CHECK (idempotency_key <> ''),
    retry           text NOT NULL,
    labels          jsonb,
    traceparent     text NOT NULL,
    content_type    text NOT NULL,
    payload         bytea NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX invocations_of_agent ON invocations (tenant, agent, id);
CREATE INDEX invocations_of_session ON invocations (tenant, session, id) WHERE session IS NOT NULL;
CREATE TABLE invocations_rest PARTITION OF invocations DEFAULT;

-- What lists are narrowed by.
CREATE TABLE labels (
    tenant text NOT NULL,
    name   text NOT NULL,
    value  text NOT NULL,
    id     uuid NOT NULL,
    PRIMARY KEY (tenant, name, value, id)
) PARTITION BY RANGE (id);
CREATE TABLE labels_rest PARTITION OF labels DEFAULT;

-- The order within a session is a counter; so is its fence. Its number is a digest of tenant and name. `head` is the place
-- of the first member that has not ended, or `next_order` where there is none.
--
-- The row's lock is the session's: whoever changes a member's standing, adds one or ends one holds it.
CREATE TABLE sessions (
    session    bigint PRIMARY KEY,
    next_order bigint NOT NULL CHECK (next_order >= 1),
    head       bigint NOT NULL CHECK (head BETWEEN 1 AND next_order),
    fence      bigint NOT NULL CHECK (fence >= 0)
) WITH (fillfactor = 50);

-- One LEASED invocation in a session.
CREATE TABLE session_leases (
    session bigint PRIMARY KEY,
    id      uuid NOT NULL
);

-- What has not ended, hot: QUEUED (1) has no lease, LEASED (2) has a whole one and a keeper. No index holds anything that
-- changes, so that updates stay within their page.
--
--   QUEUED ──granted──▶ LEASED ──completed, failed, cancelled, expired, lost too often──▶ a row of `ended`
--     ▲                   │ │
--     └─ failed, released,┘ └── cancelled, expired (also from QUEUED)
--        lost
--
-- What is queued stands in `ready`, in `delayed`, or in neither where others of its session come first.
CREATE TABLE live (
    id            uuid PRIMARY KEY,
    accepted_at   bigint NOT NULL,
    bytes         bigint NOT NULL,
    deadline      bigint,
    session       bigint,
    session_order bigint,
    awaited_by    bigint,
    priority      integer NOT NULL,
    state         integer NOT NULL CHECK (state IN (1, 2)),
    attempt       integer NOT NULL CHECK (attempt >= 0),
    lost          integer NOT NULL CHECK (lost >= 0),
    tries         integer NOT NULL CHECK (tries >= lost),
    redrives      integer NOT NULL CHECK (redrives >= 0),
    events        bigint NOT NULL CHECK (events >= 1),
    fence         bigint NOT NULL CHECK (fence >= 0),
    loose_fence   bigint CHECK (loose_fence <= fence),
    started_at    bigint,
    next_at       bigint,
    ready_writer  bigint,
    ready_rank    bigint,
    keeper        bigint,
    leased_at     bigint,
    lease_event   bigint CHECK (lease_event <= events),
    lease         uuid,
    stream        uuid,
    worker        text,
    tenant        text NOT NULL,
    agent         text NOT NULL,
    session_name  text,
    CHECK ((session IS NULL) = (session_order IS NULL) AND (session IS NULL) = (session_name IS NULL)),
    CHECK ((ready_writer IS NULL) = (ready_rank IS NULL)),
    CHECK (CASE state
        WHEN 1 THEN num_nonnulls(lease, worker, stream, leased_at, lease_event, keeper) = 0
        ELSE num_nulls(lease, worker, leased_at, lease_event, keeper, started_at) = 0
            AND num_nonnulls(next_at, ready_writer) = 0 AND fence > 0 AND attempt > 0
    END)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
CREATE UNIQUE INDEX live_places ON live (session, session_order) WHERE session IS NOT NULL;
CREATE INDEX live_deadlines ON live (deadline, id) WHERE deadline IS NOT NULL;

-- What may be leased: inserted and deleted, never updated. Readers go on from the last rank that they saw of each writer,
-- so that nobody reads over what was taken long ago.
CREATE TABLE ready (
    writer      bigint NOT NULL,
    rank        bigint NOT NULL CHECK (rank > 0),
    id          uuid NOT NULL,
    ready_at    bigint NOT NULL,
    accepted_at bigint NOT NULL,
    bytes       bigint NOT NULL,
    priority    integer NOT NULL,
    agent       text NOT NULL,
    tenant      text NOT NULL,
    PRIMARY KEY (writer, rank)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
CREATE INDEX ready_lines ON ready (agent, tenant, priority, writer, rank);

-- What waits for its time.
CREATE TABLE delayed (
    at bigint NOT NULL,
    id uuid NOT NULL,
    PRIMARY KEY (at, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);

-- What has ended, appended: SUCCEEDED (3) under a lease and with a result, FAILED (4), CANCELLED (5) and DEAD (6) with a
-- reason. One row for each: there is one terminal result.
CREATE TABLE ended (
    id            uuid NOT NULL PRIMARY KEY,
    at            bigint NOT NULL,
    started_at    bigint,
    event         bigint NOT NULL CHECK (event > 1),
    fence         bigint,
    leased_at     bigint,
    lease_event   bigint CHECK (lease_event < event),
    input_tokens  bigint NOT NULL,
    output_tokens bigint NOT NULL,
    state         integer NOT NULL CHECK (state IN (3, 4, 5, 6)),
    attempt       integer NOT NULL CHECK (attempt >= 0),
    lost          integer NOT NULL CHECK (lost >= 0),
    retryable     boolean,
    lease         uuid,
    stream        uuid,
    worker        text,
    reason        text,
    message       text,
    content_type  text,
    tenant        text NOT NULL,
    result        bytea,
    CHECK (num_nulls(lease, fence, worker, leased_at, lease_event) IN (0, 5)),
    CHECK (CASE state
        WHEN 3 THEN num_nulls(lease, result, content_type) = 0 AND num_nonnulls(reason, message, retryable) = 0
        ELSE num_nonnulls(result, content_type) = 0 AND num_nulls(reason, message, retryable) = 0
    END)
) PARTITION BY RANGE (id);
CREATE INDEX ended_badly ON ended (tenant, state, id) WHERE state <> 3;
CREATE TABLE ended_rest PARTITION OF ended DEFAULT;

-- Ends after which an invocation was redriven: it went back to `live`.
CREATE TABLE past_ends (
    id            uuid NOT NULL,
    at            bigint NOT NULL,
    started_at    bigint,
    event         bigint NOT NULL CHECK (event > 1),
    fence         bigint,
    leased_at     bigint,
    lease_event   bigint CHECK (lease_event < event),
    input_tokens  bigint NOT NULL,
    output_tokens bigint NOT NULL,
    redriven_at   bigint NOT NULL,
    state         integer NOT NULL CHECK (state IN (4, 5, 6)),
    attempt       integer NOT NULL CHECK (attempt >= 0),
    lost          integer NOT NULL CHECK (lost >= 0),
    retryable     boolean NOT NULL,
    lease         uuid,
    stream        uuid,
    redrive       uuid NOT NULL,
    worker        text,
    reason        text NOT NULL,
    message       text NOT NULL,
    content_type  text,
    PRIMARY KEY (id, event),
    CHECK (num_nulls(lease, fence, worker, leased_at, lease_event) IN (0, 5)),
    CHECK (content_type IS NULL)
) PARTITION BY RANGE (id);
CREATE TABLE past_ends_rest PARTITION OF past_ends DEFAULT;

-- Leases that ended without a result: 1 failed, 2 lost, 3 handed back.
CREATE TABLE tries (
    id          uuid NOT NULL,
    event       bigint NOT NULL,
    fence       bigint NOT NULL,
    leased_at   bigint NOT NULL,
    lease_event bigint NOT NULL CHECK (lease_event < event),
    ended_at    bigint NOT NULL,
    next_at     bigint CHECK (next_at IS NULL OR became = 1),
    attempt     integer NOT NULL CHECK (attempt > 0),
    kind        integer NOT NULL CHECK (kind IN (1, 2, 3)),
    became      integer NOT NULL CHECK (became IN (1, 4, 6)),
    retryable   boolean,
    lease       uuid NOT NULL,
    stream      uuid,
    worker      text NOT NULL,
    reason      text,
    message     text,
    PRIMARY KEY (id, event),
    CHECK (CASE kind
        WHEN 3 THEN num_nonnulls(reason, message, retryable) = 0 AND became = 1
        ELSE num_nulls(reason, message, retryable) = 0
    END)
) PARTITION BY RANGE (id);
CREATE TABLE tries_rest PARTITION OF tries DEFAULT;

-- What workers tell while they work: bounded for each invocation, apart from the durable history.
CREATE TABLE reports (
    id       uuid NOT NULL,
    event    bigint NOT NULL,
    at       bigint NOT NULL,
    bytes    bigint NOT NULL,
    fraction double precision,
    attempt  integer,
    message  text,
    chunk    bytea,
    PRIMARY KEY (id, event),
    CHECK (num_nulls(message, chunk) = 1),
    CHECK ((chunk IS NULL) = (attempt IS NULL)),
    CHECK (fraction IS NULL OR message IS NOT NULL)
) PARTITION BY RANGE (id);
CREATE TABLE reports_rest PARTITION OF reports DEFAULT;

-- The same key with the same payload is the same invocation.
CREATE TABLE idempotency_keys (
    tenant text NOT NULL,
    agent  text NOT NULL,
    key    text NOT NULL,
    id     uuid NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (tenant, agent, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (id);

-- Fences that state must still be told of: leases ended whose holders did not give them up. A process takes some for a
-- while, so that others do not tell the same; to tell one twice does no harm.
CREATE TABLE fence_raises (
    raise       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      text NOT NULL,
    session     text,
    invocation  uuid,
    fence       bigint NOT NULL CHECK (fence > 0),
    taken_by    bigint,
    taken_until timestamptz,
    CHECK (num_nulls(session, invocation) = 1),
    CHECK ((taken_by IS NULL) = (taken_until IS NULL))
);

-- What a process must know that others did: 1 an invocation has ended, 2 a lease is over.
CREATE TABLE notes (
    writer bigint NOT NULL,
    note   bigint GENERATED ALWAYS AS IDENTITY,
    kind   integer NOT NULL CHECK (kind IN (1, 2)),
    id     uuid NOT NULL,
    lease  uuid,
    reason text,
    PRIMARY KEY (writer, note),
    CHECK ((kind = 2) = (lease IS NOT NULL)),
    CHECK (reason IS NULL OR kind = 2)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
