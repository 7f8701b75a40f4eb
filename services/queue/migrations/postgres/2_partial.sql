-- Partial, though there is nothing that these indexes leave out: only what asks for that is planned by them. Where the server
-- believes a table to be empty all of its indexes cost the same, and who looks for a row by its key could walk over these.
SET LOCAL statement_timeout = 0;
DROP INDEX ready_lines;
CREATE INDEX ready_lines ON ready (agent, tenant, priority, writer, rank) WHERE agent <> '';
DROP INDEX invocations_of_agent;
CREATE INDEX invocations_of_agent ON invocations (tenant, agent, id) WHERE tenant <> '';
