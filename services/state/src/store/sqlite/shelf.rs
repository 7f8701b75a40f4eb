//! The reading side: a thread of its own, one short transaction for each question.

use std::sync::{Arc, LazyLock};

use futures::future::{BoxFuture, FutureExt as _};
use holdfast_storage::{Failure, Reader};
use rusqlite::{OptionalExtension as _, Transaction};
use uuid::Uuid;

use super::{
    past,
    rows::{self, number, signed},
};
use crate::{
    domain::{Address, Edition, Fence, Micros, Note, RecordId, Trail, TrailEnd, Vector},
    store::{Changes, ChangesQuery, FenceScope, HistoryQuery, Page, PageQuery, Shelf, TrailQuery},
};

static RECORD: LazyLock<String> = LazyLock::new(|| {
    let columns = rows::EDITION;
    format!(
        "SELECT {columns} FROM records r CROSS JOIN heads n ON n.record = r.id CROSS JOIN history h ON h.seq = n.seq \
         WHERE r.tenant = ?1 AND r.namespace = ?2 AND r.partition = ?3 AND r.key = ?4"
    )
});

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let columns = rows::EDITION;
    format!(
        "SELECT {columns}, r.key FROM records r INDEXED BY records_by_address \
         CROSS JOIN heads n ON n.record = r.id CROSS JOIN history h ON h.seq = n.seq \
         WHERE r.tenant = ?1 AND r.namespace = ?2 AND r.partition = ?3 AND r.key > ?4 AND r.key >= ?5 \
         AND n.deleted = 0 ORDER BY r.key LIMIT ?6"
    )
});

static STEP_BACK: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {}, h.previous FROM history h WHERE h.seq = ?1", rows::NOTE));

static BLIND: LazyLock<String> = LazyLock::new(|| {
    let columns = rows::NOTE;
    format!("SELECT {columns} FROM history h WHERE h.write_id = ?1 AND h.record = ?2 AND h.blind = 1")
});

pub(super) struct Sqlite {
    reader: Reader,
}

impl Sqlite {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader }
    }

    fn read<R: Send + 'static>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> BoxFuture<'_, Result<R, Failure>> {
        self.reader.read(read).boxed()
    }
}

impl Shelf for Sqlite {
    fn editions(&self, addresses: Vec<Address>) -> BoxFuture<'_, Result<Vec<Option<Edition>>, Failure>> {
        self.read(move |tx| {
            let mut find = tx.prepare_cached(&RECORD)?;
            addresses
                .iter()
                .map(|at| {
                    let place = (at.tenant(), at.namespace(), at.partition(), at.key());
                    find.query_row(place, rows::edition).optional()
                })
                .collect()
        })
    }

    fn trail(&self, query: TrailQuery) -> BoxFuture<'_, Result<Trail, Failure>> {
        self.read(move |tx| walk(tx, &query))
    }

    fn blind_write(&self, record: RecordId, write_id: Uuid) -> BoxFuture<'_, Result<Option<Note>, Failure>> {
        self.read(move |tx| {
            tx.prepare_cached(&BLIND)?.query_row((write_id.as_bytes(), signed(record)), rows::note).optional()
        })
    }

    fn page(&self, query: PageQuery) -> BoxFuture<'_, Result<Page, Failure>> {
        self.read(move |tx| page(tx, &query))
    }

    fn fence(&self, scope: FenceScope) -> BoxFuture<'_, Result<Option<Fence>, Failure>> {
        self.read(move |tx| {
            tx.prepare_cached("SELECT fence, lease FROM fences WHERE tenant = ?1 AND scope = ?2")?
                .query_row((&*scope.tenant, &*scope.name), |row| {
                    Ok(Fence { number: number(row, 0)?, lease: row.get(1)? })
                })
                .optional()
        })
    }

    fn newest_fence_below(&self, horizon: u64) -> BoxFuture<'_, Result<Option<u64>, Failure>> {
        self.read(move |tx| {
            tx.prepare_cached("SELECT fence FROM fences WHERE fence < ?1 ORDER BY fence DESC LIMIT 1")?
                .query_row([signed(horizon)], |row| number(row, 0))
                .optional()
        })
    }

    fn tombstones(&self, horizon: Micros, most: usize) -> BoxFuture<'_, Result<Vec<Address>, Failure>> {
        self.read(move |tx| {
            tx.prepare_cached(include_str!("tombstones.sql"))?
                .query_map((horizon, rows::count(most)), rows::address)?
                .collect()
        })
    }

    fn history(&self, query: HistoryQuery) -> BoxFuture<'_, Result<Vec<Edition>, Failure>> {
        self.read(move |tx| past::history(tx, &query))
    }

    fn edition_at(&self, address: Address, vector: Vector) -> BoxFuture<'_, Result<Option<Edition>, Failure>> {
        self.read(move |tx| past::edition_at(tx, &address, &vector))
    }

    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes, Failure>> {
        self.read(move |tx| past::changes(tx, &query))
    }

    fn expired(&self, now: Micros, most: usize) -> BoxFuture<'_, Result<Vec<(Address, Vector)>, Failure>> {
        self.read(move |tx| past::expired(tx, now, most))
    }
}

fn walk(tx: &Transaction<'_>, query: &TrailQuery) -> rusqlite::Result<Trail> {
    let mut step_back = tx.prepare_cached(&STEP_BACK)?;
    let mut notes = Vec::new();
    let mut seq = query.from;
    let end = loop {
        if seq == 0 {
            break TrailEnd::Beginning;
        }
        if notes.len() >= query.most {
            break TrailEnd::Cut;
        }
        let found = step_back.query_row([signed(seq)], |row| Ok((rows::note(row)?, number(row, 5)?))).optional()?;
        match found {
            None => break TrailEnd::Cut,
            Some((note, _)) if query.until.as_ref() == Some(&note.vector) => break TrailEnd::Presented,
            Some((note, previous)) => {
                notes.push(note);
                seq = previous;
            }
        }
    };
    Ok(Trail { notes, end })
}

fn page(tx: &Transaction<'_>, query: &PageQuery) -> rusqlite::Result<Page> {
    let flushes = tx.prepare_cached("SELECT flushes FROM decider")?.query_row([], |row| number(row, 0))?;
    let mut page = Page { flushes, ..Page::default() };
    let mut bytes = 0;
    let at = &query.partition;
    let mut find = tx.prepare_cached(&PAGE)?;
    // One more than asked for tells whether there are more.
    let mut found = find.query((
        at.tenant(),
        at.namespace(),
        at.name(),
        &query.after,
        &query.prefix,
        rows::count(query.records + 1),
    ))?;
    while let Some(row) = found.next()? {
        let key = row.get_ref(12)?.as_str()?;
        if !key.starts_with(&query.prefix) {
            break;
        }
        if page.records.len() == query.records || bytes >= query.bytes {
            page.more = true;
            break;
        }
        let address = at.record(key);
        let edition = rows::edition(row)?;
        bytes += edition.bytes() + address.bytes();
        page.records.push((address, Arc::new(edition)));
    }
    Ok(page)
}
