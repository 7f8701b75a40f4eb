-- A redrive by filter that is asked for again finds what it has redriven: by then that matches the filter no more.
SET LOCAL statement_timeout = 0;
CREATE INDEX past_ends_of_redrive ON past_ends (redrive);
