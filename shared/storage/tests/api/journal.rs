//! A small journal for the tests: numbers that must differ.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::Receiver;

use holdfast_storage::Journal;
use rusqlite::Transaction;
use rusqlite_migration::{M, Migrations};

pub(crate) fn migrations() -> Migrations<'static> {
    Migrations::new(vec![M::up(
        "CREATE TABLE numbers (n INTEGER PRIMARY KEY) STRICT; CREATE TABLE filler (b BLOB) STRICT;",
    )])
}

#[derive(Debug)]
pub(crate) enum Command {
    Insert(i64),
    Fill(usize),
    Pragma(&'static str, i64),
    Wait(Mutex<Receiver<()>>),
    /// The batch's commit is answered with an I/O error.
    Doubt(Doubt),
}

/// What really became of a commit in doubt.
#[derive(Debug, Clone)]
pub(crate) enum Doubt {
    Stored,
    NotStored,
    /// Stored, but the directory is away (moved from here to there) until somebody brings it back.
    StoredAndAway(PathBuf, PathBuf),
}

/// Counts its inserts in memory, as a journal that keeps decisions would.
#[derive(Default)]
pub(crate) struct Numbers {
    committed: u64,
    pending: u64,
    doubt: Option<Doubt>,
}

impl Journal for Numbers {
    type Command = Command;
    type Answer = u64;

    fn apply(&mut self, tx: &Transaction<'_>, commands: &[Command]) -> rusqlite::Result<Vec<u64>> {
        self.committed += std::mem::take(&mut self.pending);
        commands.iter().map(|command| self.apply_one(tx, command)).collect()
    }

    fn size(command: &Command) -> usize {
        match command {
            Command::Fill(bytes) => *bytes,
            _ => 0,
        }
    }

    fn commit(&mut self, tx: Transaction<'_>) -> rusqlite::Result<()> {
        match self.doubt.take() {
            None => return tx.commit(),
            Some(Doubt::Stored) => tx.commit()?,
            Some(Doubt::NotStored) => tx.rollback()?,
            Some(Doubt::StoredAndAway(here, there)) => {
                tx.commit()?;
                std::fs::rename(here, there).unwrap();
            }
        }
        Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC), None))
    }

    fn rolled_back(&mut self) {
        self.pending = 0;
    }
}

impl Numbers {
    fn apply_one(&mut self, tx: &Transaction<'_>, command: &Command) -> rusqlite::Result<u64> {
        match command {
            Command::Insert(number) => {
                self.pending += 1;
                tx.execute("INSERT INTO numbers (n) VALUES (?1)", [number])?;
            }
            Command::Fill(bytes) => {
                tx.execute("INSERT INTO filler (b) VALUES (zeroblob(?1))", [*bytes as i64])?;
            }
            Command::Pragma(name, value) => tx.pragma_update(None, name, value)?,
            Command::Wait(gate) => gate.lock().unwrap().recv().unwrap(),
            Command::Doubt(doubt) => self.doubt = Some(doubt.clone()),
        }
        Ok(self.committed + self.pending)
    }
}
