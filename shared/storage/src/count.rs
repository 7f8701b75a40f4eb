//! The count of commits, stored with each of them: it tells a commit that failed from one whose answer was lost.

use rusqlite::{Connection, Transaction};

use crate::{Class, Failure};

/// How many batches are stored.
#[derive(Debug)]
pub(crate) struct Count {
    stored: i64,
}

impl Count {
    /// Goes on from what is stored.
    pub(crate) fn begin(connection: &Connection) -> Result<Self, Failure> {
        connection.execute_batch(
            "BEGIN IMMEDIATE;
             CREATE TABLE IF NOT EXISTS commits (number INTEGER NOT NULL) STRICT;
             INSERT INTO commits (number) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM commits);
             COMMIT;",
        )?;
        Ok(Self { stored: read(connection)? })
    }

    /// Counts this transaction, which must follow the last one that is known to be stored.
    pub(crate) fn step(&self, tx: &Transaction<'_>) -> Result<(), Failure> {
        let counted =
            tx.prepare_cached("UPDATE commits SET number = number + 1 WHERE number = ?1")?.execute([self.stored])?;
        match counted {
            1 => Ok(()),
            _ => Err(Failure::new(Class::Corrupt, "the store has commits that nobody knows of: restart the service")),
        }
    }

    /// Whether the transaction in doubt is stored.
    pub(crate) fn has_stepped(&self, connection: &Connection) -> Result<bool, Failure> {
        Ok(read(connection)? == self.stored + 1)
    }

    /// It is.
    pub(crate) fn stepped(&mut self) {
        self.stored += 1;
    }
}

fn read(connection: &Connection) -> Result<i64, Failure> {
    Ok(connection.query_row("SELECT number FROM commits", [], |row| row.get(0))?)
}
