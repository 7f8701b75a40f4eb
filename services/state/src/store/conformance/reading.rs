//! Pages, and what is looked for among all records.

use super::*;

fn query(after: &str, prefix: &str, records: usize) -> PageQuery {
    PageQuery { partition: partition(), prefix: prefix.into(), after: after.into(), records, bytes: 1 << 20 }
}

fn keys(page: &Page) -> Vec<&str> {
    page.records.iter().map(|(address, _)| address.key()).collect()
}

pub(super) async fn pages(backend: &dyn Backend) {
    let mut store = backend.open().await;
    assert_eq!(store.shelf().page(query("", "", 10)).await.unwrap().flushes, store.position().await);
    let hidden = partition().hidden("lock", "l");
    let all = ["b", "a", "é", "a/1", "a/2", "B", "gone"];
    let mut made: Vec<_> =
        all.iter().zip(1..).map(|(key, n)| change(key, n, n, 0, (*key != "gone").then_some("v"))).collect();
    made.push(Change { address: hidden.clone(), ..change("", 8, 8, 0, Some("v")) });
    take(&mut *store, made).await;
    let page = store.shelf().page(query(crate::domain::LAST_HIDDEN, "", 10)).await.unwrap();
    assert_eq!((keys(&page), page.more), (vec!["B", "a", "a/1", "a/2", "b", "é"], false));
    assert_eq!(page.flushes, store.position().await);
    let page = store.shelf().page(query("", "", 1)).await.unwrap();
    assert_eq!((keys(&page), page.more), (vec![hidden.key()], true));
    let page = store.shelf().page(query("a", "", 2)).await.unwrap();
    assert_eq!((keys(&page), page.more), (vec!["a/1", "a/2"], true));
    let page = store.shelf().page(query("", "a/", 2)).await.unwrap();
    assert_eq!((keys(&page), page.more), (vec!["a/1", "a/2"], false));
    let page = store.shelf().page(query("a/1", "a/", 1)).await.unwrap();
    assert_eq!((keys(&page), page.more), (vec!["a/2"], false));
    let page = store.shelf().page(PageQuery { bytes: 1, ..query("", "a", 10) }).await.unwrap();
    assert_eq!((keys(&page), page.more), (vec!["a"], true));
    assert!(page.records[0].1.value.is_some());
}

pub(super) async fn one_partition(backend: &dyn Backend) {
    let mut store = backend.open().await;
    let theirs = Change { address: neighbour().record("k"), ..change("", 2, 2, 0, Some("theirs")) };
    take(&mut *store, [change("k", 1, 1, 0, Some("ours")), theirs]).await;
    let page = store.shelf().page(query("", "", 10)).await.unwrap();
    assert_eq!(page.records.len(), 1);
    let shelf = store.shelf();
    let [ours, theirs] = [at("k"), neighbour().record("k")];
    let found = shelf.editions(vec![theirs, at("none"), ours]).await.unwrap();
    let places: Vec<_> = found.iter().map(|edition| edition.as_ref().map(|edition| edition.seq)).collect();
    assert_eq!(places, [Some(2), None, Some(1)], "answers are in the order of what was asked");
}

pub(super) async fn expired(backend: &dyn Backend) {
    let mut store = backend.open().await;
    let expiring = |key, record, seq, previous, expires| {
        let mut change = change(key, record, seq, previous, Some("v"));
        Arc::make_mut(&mut change.edition).expires = expires;
        change
    };
    let made =
        [expiring("late", 1, 1, 0, Some(50)), expiring("soon", 2, 2, 0, Some(40)), expiring("never", 3, 3, 0, None)];
    take(&mut *store, made).await;
    let found = async |store: &dyn Running, now, most| {
        let found = store.shelf().expired(now, most).await.unwrap();
        found.into_iter().map(|(address, vector)| (address.key().to_owned(), vector.total())).collect::<Vec<_>>()
    };
    assert!(found(&*store, 39, 9).await.is_empty());
    assert_eq!(found(&*store, 60, 9).await, [("soon".into(), 1), ("late".into(), 1)]);
    assert_eq!(found(&*store, 60, 1).await, [("soon".into(), 1)]);
    // One lives longer, one is gone, one has no end any more.
    let later = [expiring("late", 1, 4, 1, Some(90)), change("soon", 2, 5, 2, None)];
    take(&mut *store, later).await;
    assert!(found(&*store, 60, 9).await.is_empty());
    assert_eq!(found(&*store, 90, 9).await, [("late".into(), 4)]);
    take(&mut *store, [expiring("late", 1, 6, 4, None)]).await;
    assert!(found(&*store, 90, 9).await.is_empty());
}

pub(super) async fn tombstones(backend: &dyn Backend) {
    let mut store = backend.open().await;
    let made = ["a", "b", "lives"].iter().zip(1..).map(|(key, n)| change(key, n, n, 0, Some("v")));
    take(&mut *store, made).await;
    take(&mut *store, [change("b", 2, 4, 2, None), change("a", 1, 5, 1, None)]).await;
    assert_eq!(store.shelf().tombstones(6, 10).await.unwrap(), [at("b"), at("a")]);
    assert_eq!(store.shelf().tombstones(6, 1).await.unwrap(), [at("b")]);
    assert_eq!(store.shelf().tombstones(5, 10).await.unwrap(), [at("b")]);
    assert!(store.shelf().tombstones(4, 10).await.unwrap().is_empty());
    take(&mut *store, [change("b", 2, 6, 4, Some("again"))]).await;
    assert_eq!(store.shelf().tombstones(9, 10).await.unwrap(), [at("a")]);
}

pub(super) async fn blind_writes(backend: &dyn Backend) {
    let mut store = backend.open().await;
    let mut blind = change("k", 1, 1, 0, Some("1"));
    Arc::make_mut(&mut blind.edition).blind = true;
    take(&mut *store, [blind, change("k", 1, 2, 1, Some("2")), change("other", 2, 3, 0, Some("3"))]).await;
    let (record, other) = (read(&*store, "k").await.unwrap().record, read(&*store, "other").await.unwrap().record);
    let find = |record, id| store.shelf().blind_write(record, Uuid::from_u128(id));
    assert_eq!(find(record, 1).await.unwrap().map(|note| note.revision), Some(1));
    assert_eq!(find(other, 1).await.unwrap(), None, "another record's");
    assert_eq!(find(record, 2).await.unwrap(), None, "not a blind one");
}
