-- Redrives: an invocation that ended without success goes back to `live`, and its end is kept here.
ALTER TABLE live ADD COLUMN redrives INTEGER NOT NULL DEFAULT 0 CHECK (redrives >= 0);

CREATE TABLE past_ends (
    seq           INTEGER NOT NULL,
    event         INTEGER NOT NULL CHECK (event > 1),
    state         INTEGER NOT NULL CHECK (state IN (4, 5, 6)),
    at            INTEGER NOT NULL,
    attempt       INTEGER NOT NULL CHECK (attempt >= 0),
    lost          INTEGER NOT NULL CHECK (lost >= 0),
    started_at    INTEGER,
    lease         BLOB CHECK (length(lease) = 16),
    fence         INTEGER,
    worker        TEXT,
    stream        BLOB CHECK (length(stream) = 16),
    leased_at     INTEGER,
    lease_event   INTEGER CHECK (lease_event < event),
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reason        TEXT NOT NULL,
    message       TEXT NOT NULL,
    retryable     INTEGER NOT NULL CHECK (retryable IN (0, 1)),
    redriven_at   INTEGER NOT NULL,
    redrive       BLOB NOT NULL CHECK (length(redrive) = 16),
    PRIMARY KEY (seq, event),
    CHECK ((lease IS NULL) = (fence IS NULL) AND (lease IS NULL) = (worker IS NULL)
        AND (lease IS NULL) = (leased_at IS NULL) AND (lease IS NULL) = (lease_event IS NULL))
) STRICT, WITHOUT ROWID;

-- What lists are narrowed by, each in the order of ids. Ends without success are few, so they have a table of their own
-- and the others pay nothing for it.
CREATE TABLE labels (
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    id     BLOB NOT NULL CHECK (length(id) = 16),
    PRIMARY KEY (tenant, name, value, id)
) STRICT, WITHOUT ROWID;
INSERT INTO labels
    SELECT tenant, json_each.key, json_each.value, invocations.id FROM invocations, json_each(invocations.labels)
    WHERE invocations.labels IS NOT NULL;

CREATE TABLE unsuccessful (
    tenant TEXT NOT NULL,
    state  INTEGER NOT NULL CHECK (state IN (4, 5, 6)),
    id     BLOB NOT NULL CHECK (length(id) = 16),
    PRIMARY KEY (tenant, state, id)
) STRICT, WITHOUT ROWID;
INSERT INTO unsuccessful
    SELECT tenant, state, id FROM ended JOIN invocations USING (seq) WHERE state <> 3;

DROP INDEX invocations_of_tenant;
DROP INDEX invocations_of_session;
CREATE INDEX invocations_of_agent ON invocations (tenant, agent, id);
CREATE INDEX invocations_of_session ON invocations (tenant, session, id) WHERE session IS NOT NULL;
