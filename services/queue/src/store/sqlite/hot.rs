//! The statements that most of a batch's rows are written by: looked up among the prepared ones once for a batch, not once
//! for a row.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Transaction};

use super::rows;

/// Put together once: every transition reads by it.
static LIVE_BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {}, live.deadline FROM live WHERE id = ?1", rows::LIVE));

/// One of them, prepared when it is first used.
pub(super) struct Hot<'t> {
    tx: &'t Transaction<'t>,
    sql: &'static str,
    prepared: Option<CachedStatement<'t>>,
}

impl<'t> Hot<'t> {
    const fn new(tx: &'t Transaction<'t>, sql: &'static str) -> Self {
        Self { tx, sql, prepared: None }
    }

    /// Ready to be executed.
    pub(super) fn get(&mut self) -> rusqlite::Result<&mut CachedStatement<'t>> {
        match &mut self.prepared {
            Some(prepared) => Ok(prepared),
            unprepared => Ok(unprepared.insert(self.tx.prepare_cached(self.sql)?)),
        }
    }
}

/// All of them, for one batch.
pub(super) struct Statements<'t> {
    pub(super) insert_invocation: Hot<'t>,
    pub(super) insert_live: Hot<'t>,
    pub(super) select_live: Hot<'t>,
    pub(super) delete_live: Hot<'t>,
    pub(super) insert_ended: Hot<'t>,
}

impl<'t> Statements<'t> {
    pub(super) fn new(tx: &'t Transaction<'t>) -> Self {
        Self {
            insert_invocation: Hot::new(tx, include_str!("insert_invocation.sql")),
            insert_live: Hot::new(tx, include_str!("insert_live.sql")),
            select_live: Hot::new(tx, &LIVE_BY_ID),
            delete_live: Hot::new(tx, "DELETE FROM live WHERE id = ?1"),
            insert_ended: Hot::new(tx, include_str!("insert_ended.sql")),
        }
    }
}
