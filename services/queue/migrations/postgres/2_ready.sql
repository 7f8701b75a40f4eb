-- Partial, though there is nothing that the index leaves out: only what asks for that is planned by it. Where the server
-- believes a table to be empty all of its indexes cost the same, and who looks for a row by its key could walk over this one.
DROP INDEX ready_lines;
CREATE INDEX ready_lines ON ready (agent, tenant, priority, writer, rank) WHERE agent <> '';
