-- Partial, as that of `ready` is.
SET LOCAL statement_timeout = 0;
DROP INDEX invocations_of_agent;
CREATE INDEX invocations_of_agent ON invocations (tenant, agent, id) WHERE tenant <> '';
