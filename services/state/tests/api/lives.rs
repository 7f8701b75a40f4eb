use crate::harness::*;

#[tokio::test]
async fn a_restart_keeps_everything_and_its_versions() {
    let state = Harness::start().await;
    for n in 0..20 {
        state.make(&n.to_string(), &n.to_string()).await;
    }
    let before = state.get("7").await.unwrap();
    let state = state.restart().await;
    for n in 0..20 {
        assert_eq!(data(&state.get(&n.to_string()).await.unwrap()), n.to_string());
    }
    assert_eq!(state.get("7").await.unwrap(), before);
    state.put(put("7", "next", Some(&before.version))).await.expect("the epoch goes on");
}

#[tokio::test]
async fn a_crash_without_cached_writes_loses_nothing_and_keeps_the_epoch() {
    let state = Harness::start().await;
    let at = state.make("k", "1").await;
    let state = state.crash().await;
    let next = state.put(put("k", "2", Some(&at))).await.expect("the epoch goes on").version;
    let state = state.crash().await;
    let record = state.get("k").await.unwrap();
    assert_eq!((data(&record).as_str(), record.version), ("2", next));
}

#[tokio::test]
async fn a_clean_end_after_cached_writes_keeps_the_epoch() {
    let state = Harness::in_files().await;
    let first = state.put(cached(put("k", "1", None))).await.unwrap();
    let second = state.put(cached(put("k", "2", Some(&first.version)))).await.unwrap();
    let state = state.restart().await;
    state.put(put("k", "3", Some(&second.version))).await.expect("nothing was lost");
    let (directory, _) = state.shut().await;
    let opened = holdfast_state::store::sqlite::open(&directory.path(), 0).unwrap();
    assert!(opened.recovered.lost.is_none());
}

#[tokio::test]
async fn a_loss_is_reported_at_the_start_with_its_bound() {
    let state = Harness::in_files().await;
    state.put(cached(put("k", "1", None))).await.unwrap();
    let (directory, config) = state.kill().await;
    let mut opened = holdfast_state::store::sqlite::open(&directory.path(), 0).unwrap();
    let lost = opened.recovered.lost.take().expect("it was dirty");
    assert_eq!((lost.bound.writes, lost.shards.len()), (config.cached.writes_max, 1));
    drop(opened);
    let opened = holdfast_state::store::sqlite::open(&directory.path(), 0).unwrap();
    assert!(opened.recovered.lost.is_none(), "it is reported once");
}
