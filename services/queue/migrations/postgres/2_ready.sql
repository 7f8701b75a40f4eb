-- Where a table is believed to be empty each of its indexes costs the same, and the server takes the youngest: let that be
-- the one that finds a row by its key.
ALTER TABLE ready DROP CONSTRAINT ready_pkey, ADD PRIMARY KEY (writer, rank);
