//! What may be lost, and what is forgotten.

use super::*;

pub(super) async fn dirty_ends_the_epoch(backend: &dyn Backend) {
    let mut store = backend.open().await;
    store.decide_in_a_cache().await;
    let first = store.epochs().await.current();
    let bound = Bound { writes: 7, bytes: 70 };
    let marks = Step::Write { changes: vec![change("k", 1, 1, 0, Some("1"))], marks: Some(bound) };
    let from = store.position().await;
    store.flush(from, vec![marks]).await.unwrap();
    drop(store);
    let mut store = backend.open().await;
    let lost = store.recover().await.expect("the last life was dirty");
    assert_eq!((lost.ended.epoch, lost.bound, lost.shards), (first, bound, vec![partition().shard()]));
    let second = store.epochs().await.current();
    assert_ne!(second, first);
    let from = store.position().await;
    let cleans = vec![Step::Write { changes: vec![change("k", 1, 2, 1, None)], marks: Some(bound) }, Step::Clean];
    store.flush(from, cleans).await.unwrap();
    drop(store);
    let mut store = backend.open().await;
    assert!(store.recover().await.is_none(), "clean again");
    assert_eq!(store.epochs().await.current(), second);
    assert!(!store.epochs().await.is_folded(first));
    store.fold_epochs(vec![first, second]).await;
    drop(store);
    let epochs = backend.open().await.epochs().await;
    assert!(epochs.is_folded(first) && epochs.current() == second);
}

pub(super) async fn sweeps(backend: &dyn Backend) {
    let mut store = backend.open().await;
    let many = (1..=9).map(|seq| change("many", 1, seq, seq - 1, Some("v")));
    take(&mut *store, many.chain([change("one", 2, 10, 0, Some("v"))])).await;
    let by_number = Retention { editions: 4, horizon: 0 };
    let swept = store.sweep_history(0, 4, by_number).await;
    assert_eq!(swept, Swept { next: 4, removed: 4 });
    assert_eq!(store.sweep_history(4, 100, by_number).await, Swept { next: 10, removed: 1 });
    assert_eq!(store.sweep_history(10, 100, by_number).await, Swept::default());
    let by_age = Retention { editions: 4, horizon: 100 };
    assert_eq!(store.sweep_history(0, 100, by_age).await.removed, 3);
    assert!(read(&*store, "many").await.is_some_and(|edition| edition.revision == 9));
    assert!(read(&*store, "one").await.is_some());
}
