-- When a record expires by itself.
ALTER TABLE history ADD COLUMN expires INTEGER;
ALTER TABLE records ADD COLUMN expires INTEGER;
CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL AND deleted = 0;

-- How far the history was cut: a watch that is to go on from before this place may have missed something.
ALTER TABLE decider ADD COLUMN swept INTEGER NOT NULL DEFAULT 0 CHECK (swept >= 0);
