//! What every store must do, whatever it is made of.

mod keeping;
mod past;
mod reading;
mod writing;

use std::sync::Arc;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use uuid::Uuid;

use super::*;
use crate::domain::{Value, Writer};

/// What one step of a check comes to.
pub(crate) type Told<'r, T> = LocalBoxFuture<'r, T>;

/// A backend under test: opens the same store again and again.
pub(crate) trait Backend {
    /// A life of it. The one before has ended.
    fn open(&self) -> Told<'_, Box<dyn Running>>;
}

/// A store that one process writes to. Everything is about the shard of [`partition`].
pub(crate) trait Running {
    /// The reading side.
    fn shelf(&self) -> &dyn Shelf;

    /// How far it is, as pages say it.
    fn position(&mut self) -> Told<'_, u64>;

    /// Stores steps in one transaction, as one who last saw the store at this position.
    fn flush(&mut self, from: u64, steps: Vec<Step>) -> Told<'_, Result<(), Failure>>;

    /// Makes a fence count.
    fn write_fence(&mut self, change: FenceChange) -> Told<'_, ()>;

    /// From now on a cache decides, which may acknowledge what is not stored.
    fn decide_in_a_cache(&mut self) -> Told<'_, ()>;

    /// Looks whether the life before ended with loss; then another epoch begins.
    fn recover(&mut self) -> Told<'_, Option<LostEpoch>>;

    /// The epochs.
    fn epochs(&mut self) -> Told<'_, Epochs>;

    /// The shard's floor.
    fn floor(&mut self) -> Told<'_, Vector>;

    /// The oldest fence that is remembered.
    fn fence_floor(&mut self) -> Told<'_, u64>;

    /// Sweeps a piece of the shard's history.
    fn sweep_history(&mut self, after: Seq, rows: usize, keep: Retention) -> Told<'_, Swept>;

    /// Forgets fences below a horizon.
    fn sweep_fences(&mut self, horizon: u64) -> Told<'_, ()>;

    /// Folds lost epochs.
    fn fold_epochs(&mut self, epochs: Vec<EpochId>) -> Told<'_, ()>;
}

pub(crate) type Check = fn(&dyn Backend) -> LocalBoxFuture<'_, ()>;

/// Every check, by the promise that it holds the store to.
pub(crate) const CHECKS: [(&str, Check); 17] = [
    ("a flush is read back, content and writer", |b| Box::pin(writing::a_flush_is_read_back(b))),
    ("a flush is stored whole or not at all", |b| Box::pin(writing::whole_or_not_at_all(b))),
    ("only who knows where the store is can go on", |b| Box::pin(writing::only_the_next_flush(b))),
    ("of a record only the last state counts, of its history all", |b| Box::pin(writing::coalesced(b))),
    ("a record that is made anew has a history of its own", |b| Box::pin(writing::made_anew(b))),
    ("a fence never falls", |b| Box::pin(writing::fences_rise(b))),
    ("a page is in byte order, and within its bounds", |b| Box::pin(reading::pages(b))),
    ("a page is of one partition", |b| Box::pin(reading::one_partition(b))),
    ("what expires is found when its time is over", |b| Box::pin(reading::expired(b))),
    ("tombstones are found by age", |b| Box::pin(reading::tombstones(b))),
    ("a blind write is found by its id", |b| Box::pin(reading::blind_writes(b))),
    ("a trail ends where it is told to, or is cut", |b| Box::pin(past::trails_end(b))),
    ("a history goes back from the newest, within its bounds", |b| Box::pin(past::histories(b))),
    ("a version names its edition", |b| Box::pin(past::editions_by_version(b))),
    ("changes come once, in their order, or are cut", |b| Box::pin(past::changes_in_order(b))),
    ("a dirty shard ends its epoch, once", |b| Box::pin(keeping::dirty_ends_the_epoch(b))),
    ("what is superseded is swept, what is current is kept", |b| Box::pin(keeping::sweeps(b))),
];

pub(crate) fn at(key: &str) -> Address {
    partition().record(key)
}

pub(crate) fn partition() -> Partition {
    Partition::new("acme", "n", "p").unwrap()
}

/// Another partition of the same shard.
fn neighbour() -> Partition {
    let named = |n| Partition::new("acme", "n", &format!("p{n}")).unwrap();
    (0..).map(named).find(|other| other.shard() == partition().shard()).unwrap()
}

/// A change to a record: its number, the places of its write and the one before.
pub(crate) fn change(key: &str, record: RecordId, seq: Seq, previous: Seq, text: Option<&str>) -> Change {
    let epochs = Epochs::new(EpochId(9));
    let revision = if previous == 0 { 1 } else { seq };
    let edition = Edition {
        record,
        seq,
        previous,
        revision,
        vector: (0..revision).fold(Vector::default(), |vector, _| vector.next(&epochs)),
        value: text
            .map(|text| Value { data: Bytes::copy_from_slice(text.as_bytes()), content_type: "text/plain".into() }),
        writer: Writer { write_id: Uuid::from_u128(seq.into()), invocation_id: "inv".into(), time: seq as Micros },
        blind: false,
        expires: None,
    };
    Change { address: at(key), edition: Arc::new(edition), creates: previous == 0 }
}

/// Each a write of its own.
pub(crate) fn writes(changes: impl IntoIterator<Item = Change>) -> Vec<Step> {
    changes.into_iter().map(|change| Step::Write { changes: vec![change], marks: None }).collect()
}

/// Stores writes, as one who knows where the store is.
pub(crate) async fn take(store: &mut dyn Running, changes: impl IntoIterator<Item = Change>) {
    let from = store.position().await;
    store.flush(from, writes(changes)).await.unwrap();
}

pub(crate) async fn read(store: &dyn Running, key: &str) -> Option<Edition> {
    store.shelf().editions(vec![at(key)]).await.unwrap().remove(0)
}

/// Some stores number records themselves.
fn numbered(change: &Change, record: RecordId) -> Edition {
    Edition { record, ..change.edition.as_ref().clone() }
}
