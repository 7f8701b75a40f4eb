//! What every store must do, whatever it is made of.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use uuid::Uuid;

use super::*;
use crate::domain::{Epochs, TrailEnd, Value, Writer};

/// A backend under test: opens the same store again and again.
pub(crate) trait Backend {
    fn open(&self) -> Opened;
}

type Check = fn(&dyn Backend) -> LocalBoxFuture<'_, ()>;

/// Every check, by the promise that it holds the store to.
pub(crate) const CHECKS: [(&str, Check); 10] = [
    ("a flush is read back, content and writer", |b| Box::pin(a_flush_is_read_back(b))),
    ("a flush is stored whole or not at all", |b| Box::pin(whole_or_not_at_all(b))),
    ("only the next flush of this epoch is taken", |b| Box::pin(only_the_next_flush(b))),
    ("of a record only the last state counts, of its history all", |b| Box::pin(coalesced(b))),
    ("a trail ends where it is told to, or is cut", |b| Box::pin(trails_end(b))),
    ("a blind write is found by its id", |b| Box::pin(blind_writes(b))),
    ("a page is in byte order, and within its bounds", |b| Box::pin(pages(b))),
    ("a fence never falls", |b| Box::pin(fences_rise(b))),
    ("a dirty shard ends its epoch, once", |b| Box::pin(dirty_ends_the_epoch(b))),
    ("what is superseded is swept, what is current is kept", |b| Box::pin(sweeps(b))),
];

fn at(key: &str) -> Address {
    Address::new("acme", "n", "p", key).unwrap()
}

fn partition() -> Partition {
    Partition::new("acme", "n", "p").unwrap()
}

/// A change to a record: its number, the places of its write and the one before.
fn change(key: &str, record: RecordId, seq: Seq, previous: Seq, text: Option<&str>) -> Change {
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

fn flush(steps: impl IntoIterator<Item = Step>) -> Flush {
    let shard = partition().shard();
    Flush { steps: steps.into_iter().map(|step| (shard, Arc::new(step))).collect(), fences: Vec::new() }
}

fn writes(changes: impl IntoIterator<Item = Change>) -> Flush {
    flush(changes.into_iter().map(|change| Step::Write { changes: vec![change], marks: None }))
}

async fn read(store: &Opened, key: &str) -> Option<Edition> {
    store.shelf.editions(vec![at(key)]).await.unwrap().remove(0)
}

fn query(after: &str, prefix: &str, records: usize) -> PageQuery {
    PageQuery { partition: partition(), prefix: prefix.into(), after: after.into(), records, bytes: 1 << 20 }
}

async fn a_flush_is_read_back(backend: &dyn Backend) {
    let mut store = backend.open();
    let made = change("k", 1, 1, 0, Some("hello"));
    store.journal.commit(0, &writes([made.clone()])).unwrap();
    assert_eq!(read(&store, "k").await.as_ref(), Some(&*made.edition));
    assert_eq!(read(&store, "other").await, None);
    drop(store);
    let store = backend.open();
    assert_eq!(read(&store, "k").await.as_ref(), Some(&*made.edition));
    assert_eq!((store.recovered.seq, store.recovered.record, store.recovered.flushes), (1, 1, 1));
}

async fn whole_or_not_at_all(backend: &dyn Backend) {
    let mut store = backend.open();
    // The second write takes the first one's place in the history: refused, with the whole flush.
    let clash = writes([change("a", 1, 1, 0, Some("a")), change("b", 2, 1, 0, Some("b"))]);
    let refused = store.journal.commit(0, &clash).unwrap_err();
    assert!(!refused.in_doubt);
    assert_eq!((read(&store, "a").await, read(&store, "b").await), (None, None));
    assert_eq!(store.journal.flushes().unwrap(), 0);
    store.journal.commit(0, &writes([change("a", 1, 1, 0, Some("a"))])).unwrap();
}

async fn only_the_next_flush(backend: &dyn Backend) {
    let mut store = backend.open();
    store.journal.commit(0, &writes([change("a", 1, 1, 0, Some("a"))])).unwrap();
    store.journal.commit(0, &writes([change("a", 1, 2, 1, Some("paused too long"))])).unwrap_err();
    assert_eq!(read(&store, "a").await.unwrap().revision, 1);
    assert_eq!(store.journal.flushes().unwrap(), 1);
}

async fn coalesced(backend: &dyn Backend) {
    let mut store = backend.open();
    let all = [change("k", 1, 1, 0, Some("1")), change("k", 1, 2, 1, Some("2")), change("k", 1, 3, 2, None)];
    store.journal.commit(0, &writes(all)).unwrap();
    let gone = read(&store, "k").await.expect("a tombstone");
    assert!(!gone.is_live() && gone.revision == 3);
    let trail = store.shelf.trail(TrailQuery { shard: at("k").shard(), from: 3, until: None, most: 10 }).await.unwrap();
    assert_eq!(trail.notes.iter().map(|note| note.revision).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(store.shelf.tombstones(4, 10).await.unwrap(), [at("k")]);
    assert!(store.shelf.tombstones(3, 10).await.unwrap().is_empty());
    let drop = Step::Drop { address: at("k"), floor: gone.vector.clone(), edition: Arc::new(gone.clone()) };
    store.journal.commit(1, &flush([drop])).unwrap();
    assert_eq!(read(&store, "k").await, None);
    std::mem::drop(store);
    assert_eq!(backend.open().recovered.floors[partition().shard().index()], gone.vector);
}

async fn trails_end(backend: &dyn Backend) {
    let mut store = backend.open();
    let (first, second) = (change("k", 1, 1, 0, Some("1")), change("k", 1, 2, 1, Some("2")));
    let presented = first.edition.vector.clone();
    store.journal.commit(0, &writes([first, second, change("k", 1, 3, 2, Some("3"))])).unwrap();
    let walk = |from, until, most| store.shelf.trail(TrailQuery { shard: at("k").shard(), from, until, most });
    let trail = walk(3, Some(presented), 10).await.unwrap();
    assert_eq!((trail.notes.len(), trail.end), (2, TrailEnd::Presented));
    assert_eq!(walk(3, None, 10).await.unwrap().end, TrailEnd::Beginning);
    assert_eq!(walk(3, None, 2).await.unwrap().end, TrailEnd::Cut);
    assert_eq!(walk(7, None, 2).await.unwrap().end, TrailEnd::Cut);
}

async fn blind_writes(backend: &dyn Backend) {
    let mut store = backend.open();
    let mut blind = change("k", 1, 1, 0, Some("1"));
    Arc::make_mut(&mut blind.edition).blind = true;
    store.journal.commit(0, &writes([blind, change("k", 1, 2, 1, Some("2"))])).unwrap();
    let find = |record, id| store.shelf.blind_write(record, Uuid::from_u128(id));
    assert_eq!(find(1, 1).await.unwrap().map(|note| note.revision), Some(1));
    assert_eq!(find(2, 1).await.unwrap(), None, "another record's");
    assert_eq!(find(1, 2).await.unwrap(), None, "not a blind one");
}

async fn pages(backend: &dyn Backend) {
    let mut store = backend.open();
    let keys = ["b", "a", "é", "a/1", "a/2", "gone"];
    let made = keys.iter().zip(1..).map(|(key, n)| change(key, n, n, 0, (*key != "gone").then_some("v")));
    store.journal.commit(0, &writes(made)).unwrap();
    let keys = |page: &Page| page.records.iter().map(|(address, _)| address.key().to_owned()).collect::<Vec<_>>();
    let page = store.shelf.page(query("", "", 10)).await.unwrap();
    assert_eq!(
        (keys(&page), page.more, page.flushes),
        (["a", "a/1", "a/2", "b", "é"].map(String::from).to_vec(), false, 1)
    );
    let page = store.shelf.page(query("a", "", 2)).await.unwrap();
    assert_eq!((keys(&page), page.more), (["a/1", "a/2"].map(String::from).to_vec(), true));
    let page = store.shelf.page(query("", "a/", 2)).await.unwrap();
    assert_eq!((keys(&page), page.more), (["a/1", "a/2"].map(String::from).to_vec(), false));
    let page = store.shelf.page(PageQuery { bytes: 1, ..query("", "", 10) }).await.unwrap();
    assert_eq!((keys(&page), page.more), (["a"].map(String::from).to_vec(), true));
}

async fn fences_rise(backend: &dyn Backend) {
    let mut store = backend.open();
    let scope = FenceScope { tenant: "acme".into(), name: "session:s".into() };
    let fence = |number, lease: Option<&str>| Fence { number, lease: lease.map(Into::into) };
    let mut flushes = 0;
    let mut set = |store: &mut Opened, fence: Fence| {
        let fences = vec![FenceChange { scope: scope.clone(), fence }];
        store.journal.commit(flushes, &Flush { steps: Vec::new(), fences }).unwrap();
        flushes += 1;
    };
    for (given, stands) in [
        (fence(5, Some("a")), fence(5, Some("a"))),
        (fence(4, Some("b")), fence(5, Some("a"))),
        (fence(5, None), fence(5, None)),
        (fence(5, Some("a")), fence(5, None)),
        (fence(6, Some("c")), fence(6, Some("c"))),
    ] {
        set(&mut store, given);
        assert_eq!(store.shelf.fence(scope.clone()).await.unwrap(), Some(stands));
    }
    let below = |horizon| store.shelf.newest_fence_below(horizon);
    assert_eq!((below(6).await.unwrap(), below(7).await.unwrap()), (None, Some(6)));
    store.journal.sweep_fences(6).unwrap();
    assert!(store.shelf.fence(scope.clone()).await.unwrap().is_some());
    store.journal.sweep_fences(7).unwrap();
    assert_eq!(store.shelf.fence(scope).await.unwrap(), None);
    store.journal.sweep_fences(3).unwrap();
    drop(store);
    assert_eq!(backend.open().recovered.fence_floor, 7, "what is forgotten stays known as forgotten");
}

async fn dirty_ends_the_epoch(backend: &dyn Backend) {
    let mut store = backend.open();
    let first = store.recovered.epochs.current();
    let bound = Bound { writes: 7, bytes: 70 };
    let marks = Step::Write { changes: vec![change("k", 1, 1, 0, Some("1"))], marks: Some(bound) };
    store.journal.commit(0, &flush([marks])).unwrap();
    drop(store);
    let mut store = backend.open();
    let lost = store.recovered.lost.take().expect("the last life was dirty");
    assert_eq!((lost.ended.epoch, lost.bound, lost.shards), (first, bound, vec![partition().shard()]));
    let second = store.recovered.epochs.current();
    assert_ne!(second, first);
    store
        .journal
        .commit(1, &flush([Step::Write { changes: vec![change("k", 1, 2, 1, None)], marks: Some(bound) }, Step::Clean]))
        .unwrap();
    drop(store);
    let mut store = backend.open();
    assert!(store.recovered.lost.is_none() && store.recovered.epochs.current() == second, "clean again");
    assert!(!store.recovered.epochs.is_folded(first));
    store.journal.fold_epochs(&[first, second]).unwrap();
    drop(store);
    let store = backend.open();
    assert!(store.recovered.epochs.is_folded(first) && store.recovered.epochs.current() == second);
}

async fn sweeps(backend: &dyn Backend) {
    let mut store = backend.open();
    let many = (1..=9).map(|seq| change("many", 1, seq, seq - 1, Some("v")));
    store.journal.commit(0, &writes(many.chain([change("one", 2, 10, 0, Some("v"))]))).unwrap();
    let by_number = Retention { editions: 4, horizon: 0 };
    let swept = store.journal.sweep_history(0, 4, by_number).unwrap();
    assert_eq!(swept, Swept { next: 4, removed: 4 });
    assert_eq!(store.journal.sweep_history(4, 100, by_number).unwrap(), Swept { next: 10, removed: 1 });
    assert_eq!(store.journal.sweep_history(10, 100, by_number).unwrap(), Swept::default());
    let by_age = Retention { editions: 4, horizon: 100 };
    assert_eq!(store.journal.sweep_history(0, 100, by_age).unwrap().removed, 3);
    assert!(read(&store, "many").await.is_some_and(|edition| edition.revision == 9));
    assert!(read(&store, "one").await.is_some());
}
