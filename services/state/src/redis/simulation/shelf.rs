//! The store's model, as readers see it.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use holdfast_storage::Failure;
use uuid::Uuid;

use super::{kept::Kept, store::Desk};
use crate::{
    domain::{Address, Edition, Fence, Micros, Note, RecordId, Trail, TrailEnd, Vector},
    store::{Changes, ChangesQuery, FenceScope, HistoryQuery, Page, PageQuery, Shelf, TrailQuery},
};

type Read<'s, T> = BoxFuture<'s, Result<T, Failure>>;

impl Shelf for Desk {
    fn editions(&self, addresses: Vec<Address>) -> Read<'_, Vec<Option<Edition>>> {
        self.transact(false, move |kept| {
            addresses.iter().map(|address| kept.newest.get(address).map(|edition| (**edition).clone())).collect()
        })
        .boxed()
    }

    fn trail(&self, query: TrailQuery) -> Read<'_, Trail> {
        self.transact(false, move |kept| walk(kept, &query)).boxed()
    }

    fn blind_write(&self, record: RecordId, write_id: Uuid) -> Read<'_, Option<Note>> {
        let is_it = move |edition: &Arc<Edition>| {
            edition.blind && edition.record == record && edition.writer.write_id == write_id
        };
        self.transact(false, move |kept| {
            kept.rows.values().map(|(_, edition)| edition).find(|edition| is_it(edition)).map(|found| Kept::note(found))
        })
        .boxed()
    }

    fn page(&self, query: PageQuery) -> Read<'_, Page> {
        self.transact(false, move |kept| kept.page(&query)).boxed()
    }

    fn fence(&self, _scope: FenceScope) -> Read<'_, Option<Fence>> {
        async { Ok(None) }.boxed()
    }

    fn newest_fence_below(&self, _horizon: u64) -> Read<'_, Option<u64>> {
        async { Ok(None) }.boxed()
    }

    fn history(&self, query: HistoryQuery) -> Read<'_, Vec<Edition>> {
        self.transact(false, move |kept| {
            let rows = kept.rows.values().rev().filter(|(address, _)| *address == query.address);
            rows.take(query.editions).map(|(_, edition)| (**edition).clone()).collect()
        })
        .boxed()
    }

    fn edition_at(&self, _address: Address, _vector: Vector) -> Read<'_, Option<Edition>> {
        async { Ok(None) }.boxed()
    }

    fn changes(&self, _query: ChangesQuery) -> Read<'_, Changes> {
        async { Ok(Changes::Cut) }.boxed()
    }

    fn expired(&self, _now: Micros, _most: usize) -> Read<'_, Vec<(Address, Vector)>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn tombstones(&self, _horizon: Micros, _most: usize) -> Read<'_, Vec<Address>> {
        async { Ok(Vec::new()) }.boxed()
    }
}

fn walk(kept: &Kept, query: &TrailQuery) -> Trail {
    let (mut notes, mut seq) = (Vec::new(), query.from);
    let end = loop {
        if seq == 0 {
            break TrailEnd::Beginning;
        }
        let Some((_, edition)) = kept.rows.get(&(query.shard, seq)) else { break TrailEnd::Cut };
        if query.until.as_ref() == Some(&edition.vector) {
            break TrailEnd::Presented;
        }
        notes.push(Kept::note(edition));
        seq = edition.previous;
    };
    Trail { notes, end }
}
