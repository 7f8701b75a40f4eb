//! What records were.

use super::*;
use crate::domain::TrailEnd;

/// A record written so often.
async fn written(store: &mut dyn Running, times: Seq) {
    take(store, (1..=times).map(|seq| change("k", 1, seq, seq - 1, Some("text")))).await;
}

pub(super) async fn trails_end(backend: &dyn Backend) {
    let mut store = backend.open().await;
    written(&mut *store, 3).await;
    let presented = change("k", 1, 1, 0, None).edition.vector.clone();
    let walk = |from, until, most| store.shelf().trail(TrailQuery { shard: at("k").shard(), from, until, most });
    let trail = walk(3, Some(presented.clone()), 10).await.unwrap();
    assert_eq!((trail.notes.len(), trail.end), (2, TrailEnd::Presented));
    assert_eq!(walk(3, None, 10).await.unwrap().end, TrailEnd::Beginning);
    assert_eq!(walk(3, None, 3).await.unwrap().end, TrailEnd::Beginning);
    let cut = walk(3, None, 2).await.unwrap();
    assert_eq!((cut.notes.len(), cut.end), (2, TrailEnd::Cut));
    assert_eq!(walk(3, Some(presented.clone()), 2).await.unwrap().end, TrailEnd::Cut);
    let at_once = walk(1, Some(presented), 2).await.unwrap();
    assert_eq!((at_once.notes.len(), at_once.end), (0, TrailEnd::Presented));
    assert_eq!(walk(7, None, 2).await.unwrap().end, TrailEnd::Cut);
    assert_eq!(walk(0, None, 2).await.unwrap().end, TrailEnd::Beginning);
}

pub(super) async fn histories(backend: &dyn Backend) {
    let mut store = backend.open().await;
    written(&mut *store, 5).await;
    let ask = async |before, editions, bytes| {
        let query = HistoryQuery { address: at("k"), before, editions, bytes };
        let found = store.shelf().history(query).await.unwrap();
        assert!(found.iter().all(Edition::is_live), "with their contents");
        found.iter().map(|edition| edition.seq).collect::<Vec<_>>()
    };
    assert_eq!(ask(None, 10, 1 << 20).await, [5, 4, 3, 2, 1]);
    assert_eq!(ask(None, 2, 1 << 20).await, [5, 4]);
    assert_eq!(ask(Some(4), 2, 1 << 20).await, [3, 2]);
    assert_eq!(ask(Some(1), 2, 1 << 20).await, [0; 0]);
    assert_eq!(ask(Some(4), 10, 1).await, [3], "one at least");
    let none = HistoryQuery { address: at("none"), before: None, editions: 10, bytes: 1 << 20 };
    assert!(store.shelf().history(none).await.unwrap().is_empty());
}

pub(super) async fn editions_by_version(backend: &dyn Backend) {
    let mut store = backend.open().await;
    written(&mut *store, 3).await;
    for seq in 1..=3 {
        let vector = change("k", 1, seq, seq - 1, None).edition.vector.clone();
        let found = store.shelf().edition_at(at("k"), vector).await.unwrap();
        assert_eq!(found.map(|edition| edition.seq), Some(seq));
    }
    let unknown = change("k", 1, 9, 8, None).edition.vector.clone();
    assert_eq!(store.shelf().edition_at(at("k"), unknown.clone()).await.unwrap(), None);
    assert_eq!(store.shelf().edition_at(at("none"), unknown).await.unwrap(), None);
}

pub(super) async fn changes_in_order(backend: &dyn Backend) {
    let mut store = backend.open().await;
    let theirs = Change { address: neighbour().record("k"), ..change("", 2, 2, 0, Some("theirs")) };
    take(&mut *store, [change("k", 1, 1, 0, Some("1")), theirs]).await;
    take(&mut *store, [change("l", 3, 3, 0, Some("3")), change("k", 1, 4, 1, None)]).await;
    let position = store.position().await;
    let ask = async |after, rows, bytes| {
        let query = ChangesQuery { partition: partition(), after, rows, bytes };
        match store.shelf().changes(query).await.unwrap() {
            Changes::Here { changes, until, more, flushes } => {
                assert_eq!(flushes, position);
                let seqs: Vec<_> = changes.iter().map(|(at, edition)| (at.key().to_owned(), edition.seq)).collect();
                Some((seqs, until, more))
            }
            Changes::Cut => None,
        }
    };
    let seen = |seqs: &[(&str, Seq)], until, more| {
        Some((seqs.iter().map(|(key, seq)| ((*key).to_owned(), *seq)).collect::<Vec<_>>(), until, more))
    };
    assert_eq!(ask(None, 10, 1 << 20).await, seen(&[], 4, false), "where the newest is");
    assert_eq!(ask(Some(0), 10, 1 << 20).await, seen(&[("k", 1), ("l", 3), ("k", 4)], 4, false));
    assert_eq!(ask(Some(0), 2, 1 << 20).await, seen(&[("k", 1)], 2, true));
    assert_eq!(ask(Some(2), 2, 1 << 20).await, seen(&[("l", 3), ("k", 4)], 4, false));
    assert_eq!(ask(Some(4), 2, 1 << 20).await, seen(&[], 4, false));
    let (first, until, more) = ask(Some(0), 10, 1).await.unwrap();
    assert_eq!((first, more), (vec![("k".to_owned(), 1)], true), "one at least");
    assert!((1..3).contains(&until));
    let keep = Retention { editions: 1, horizon: 0 };
    store.sweep_history(0, 10, keep).await;
    let query = |after| ChangesQuery { partition: partition(), after: Some(after), rows: 10, bytes: 1 << 20 };
    assert!(matches!(store.shelf().changes(query(0)).await.unwrap(), Changes::Cut));
    assert!(matches!(store.shelf().changes(query(4)).await.unwrap(), Changes::Here { .. }));
}
