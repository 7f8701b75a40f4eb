//! Flushes and fences.

use super::*;

pub(super) async fn a_flush_is_read_back(backend: &dyn Backend) {
    let mut store = backend.open().await;
    let mut made = change("k", 1, 1, 0, Some("hello"));
    Arc::make_mut(&mut made.edition).expires = Some(77);
    take(&mut *store, [made.clone()]).await;
    let found = read(&*store, "k").await.expect("it is stored");
    assert_eq!(found, numbered(&made, found.record));
    assert_eq!(read(&*store, "other").await, None);
    let position = store.position().await;
    drop(store);
    let mut store = backend.open().await;
    assert_eq!(read(&*store, "k").await, Some(found));
    assert_eq!(store.position().await, position);
}

pub(super) async fn whole_or_not_at_all(backend: &dyn Backend) {
    let mut store = backend.open().await;
    let from = store.position().await;
    // The second write takes the first one's place in the history: refused, with the whole flush.
    let clash = writes([change("a", 1, 1, 0, Some("a")), change("b", 2, 1, 0, Some("b"))]);
    store.flush(from, clash).await.unwrap_err();
    assert_eq!((read(&*store, "a").await, read(&*store, "b").await), (None, None));
    assert_eq!(store.position().await, from);
    take(&mut *store, [change("a", 1, 1, 0, Some("a"))]).await;
}

pub(super) async fn only_the_next_flush(backend: &dyn Backend) {
    let mut store = backend.open().await;
    let seen = store.position().await;
    take(&mut *store, [change("a", 1, 1, 0, Some("a"))]).await;
    let position = store.position().await;
    assert_ne!(seen, position);
    store.flush(seen, writes([change("a", 1, 2, 1, Some("paused too long"))])).await.unwrap_err();
    store.flush(seen, vec![Step::Clean]).await.unwrap_err();
    assert_eq!(read(&*store, "a").await.unwrap().revision, 1);
    assert_eq!(store.position().await, position);
}

pub(super) async fn coalesced(backend: &dyn Backend) {
    let mut store = backend.open().await;
    let all = [change("k", 1, 1, 0, Some("1")), change("k", 1, 2, 1, Some("2")), change("k", 1, 3, 2, None)];
    take(&mut *store, all).await;
    let gone = read(&*store, "k").await.expect("a tombstone");
    assert!(!gone.is_live() && gone.revision == 3);
    let query = TrailQuery { shard: at("k").shard(), from: 3, until: None, most: 10 };
    let trail = store.shelf().trail(query).await.unwrap();
    assert_eq!(trail.notes.iter().map(|note| note.revision).collect::<Vec<_>>(), [3, 2, 1]);
    forget(&mut *store, "k").await;
    assert_eq!(read(&*store, "k").await, None);
    drop(store);
    assert_eq!(backend.open().await.floor().await, gone.vector);
}

/// Forgets a tombstone.
async fn forget(store: &mut dyn Running, key: &str) {
    let gone = read(store, key).await.expect("a tombstone");
    let drop = Step::Drop { address: at(key), floor: gone.vector.clone(), edition: Arc::new(gone) };
    let from = store.position().await;
    store.flush(from, vec![drop]).await.unwrap();
}

pub(super) async fn made_anew(backend: &dyn Backend) {
    let mut store = backend.open().await;
    take(&mut *store, [change("k", 1, 1, 0, Some("1")), change("k", 1, 2, 1, None)]).await;
    forget(&mut *store, "k").await;
    take(&mut *store, [change("k", 2, 3, 0, Some("again"))]).await;
    let found = read(&*store, "k").await.expect("it is there again");
    assert_eq!((found.previous, found.is_live()), (0, true));
    let query = HistoryQuery { address: at("k"), before: None, editions: 10, bytes: 1 << 20 };
    let history = store.shelf().history(query).await.unwrap();
    assert_eq!(history.iter().map(|edition| edition.seq).collect::<Vec<_>>(), [3]);
}

pub(super) async fn fences_rise(backend: &dyn Backend) {
    let mut store = backend.open().await;
    let scope = FenceScope { tenant: "acme".into(), name: "session:s".into() };
    let fence = |number, lease: Option<&str>| Fence { number, lease: lease.map(Into::into) };
    for (given, stands) in [
        (fence(5, Some("a")), fence(5, Some("a"))),
        (fence(4, Some("b")), fence(5, Some("a"))),
        (fence(5, None), fence(5, None)),
        (fence(5, Some("a")), fence(5, None)),
        (fence(6, Some("c")), fence(6, Some("c"))),
    ] {
        store.write_fence(FenceChange { scope: scope.clone(), fence: given }).await;
        assert_eq!(store.shelf().fence(scope.clone()).await.unwrap(), Some(stands));
    }
    let other = FenceScope { tenant: "other".into(), ..scope.clone() };
    assert_eq!(store.shelf().fence(other).await.unwrap(), None);
    assert_eq!(store.shelf().newest_fence_below(6).await.unwrap(), None);
    assert_eq!(store.shelf().newest_fence_below(7).await.unwrap(), Some(6));
    store.sweep_fences(6).await;
    assert!(store.shelf().fence(scope.clone()).await.unwrap().is_some());
    store.sweep_fences(7).await;
    assert_eq!(store.shelf().fence(scope).await.unwrap(), None);
    store.sweep_fences(3).await;
    drop(store);
    assert_eq!(backend.open().await.fence_floor().await, 7, "what is forgotten stays known as forgotten");
}
