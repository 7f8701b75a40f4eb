//! What fails alone stops nothing else.

use futures::future::LocalBoxFuture;

use super::*;

const REDRIVES: Redrives = Redrives { redrive: Uuid::nil(), tenant: None, beyond: None, limit: 1 };

#[tokio::test]
async fn reads_have_a_circuit_of_their_own() {
    let mut bench = Bench::start();
    bench.open();
    *bench.puppet.0.read.lock() = Some(Ok(()));
    bench.read().await.expect("what cannot be written can be read");
    *bench.puppet.0.read.lock() = None;
    for _ in 0..3 {
        assert_eq!(bench.read().await.unwrap_err().class(), Class::Silent);
    }
    let touched = bench.puppet.0.reads.load(Ordering::Relaxed);
    let refused = bench.read().await.unwrap_err();
    assert!(refused.retry_after() <= Some(OPEN));
    assert_eq!(bench.puppet.0.reads.load(Ordering::Relaxed), touched, "the store is not touched");
}

#[tokio::test]
async fn what_callers_read_too_slowly_stops_no_duty() {
    let bench = Bench::start();
    for _ in 0..3 {
        assert_eq!(bench.read().await.unwrap_err().class(), Class::Silent);
    }
    *bench.puppet.0.read.lock() = Some(Ok(()));
    bench.read().await.expect_err("the circuit of callers is open");
    bench.store.raises(0, 1).await.expect("duties have one of their own");
}

#[tokio::test]
async fn lists_that_take_too_long_keep_nobody_from_a_single_invocation() {
    let bench = Bench::start();
    for _ in 0..3 {
        assert_eq!(bench.list().await.unwrap_err().class(), Class::Silent);
    }
    *bench.puppet.0.read.lock() = Some(Ok(()));
    bench.list().await.expect_err("the circuit of lists is open");
    bench.read().await.expect("a single invocation is found by another way");
}

#[tokio::test]
async fn callers_with_less_patience_show_that_nobody_is_answered() {
    let bench = Bench::start();
    for _ in 0..3 {
        tokio::time::timeout(PATIENCE / 2, bench.read()).await.expect_err("it hangs");
    }
    bench.read().await.expect_err("the circuit is open");
    assert_eq!(bench.puppet.0.reads.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn what_cannot_be_removed_stops_no_lists() {
    let bench = Bench::start();
    *bench.puppet.0.read.lock() = Some(Err(Failure::new(Class::ReadOnly, "a standby")));
    for _ in 0..3 {
        assert_eq!(bench.sweep().await.unwrap_err().class(), Class::ReadOnly);
    }
    *bench.puppet.0.read.lock() = Some(Ok(()));
    bench.sweep().await.expect_err("the circuit of retention is open");
    bench.list().await.expect("lists have one of their own");
}

#[tokio::test]
async fn whatever_is_read_is_left_alone_once_it_fails() {
    type Ask = for<'b> fn(&'b Bench) -> LocalBoxFuture<'b, Result<(), Failure>>;
    let asks: [Ask; 7] = [
        |bench| bench.read().boxed_local(),
        |bench| bench.list().boxed_local(),
        |bench| bench.sweep().boxed_local(),
        |bench| {
            bench
                .store
                .history(Uuid::nil(), None, 0, Window { events: 1, bytes: 1 })
                .map(|told| told.map(drop))
                .boxed_local()
        },
        |bench| {
            bench.store.by_key("t".into(), "a".into(), "k".into(), [0; 32], 0).map(|told| told.map(drop)).boxed_local()
        },
        |bench| bench.store.redriven_by(REDRIVES).map(|told| told.map(drop)).boxed_local(),
        |bench| bench.store.raises(0, 1).map(|told| told.map(drop)).boxed_local(),
    ];
    for (place, ask) in asks.into_iter().enumerate() {
        let bench = Bench::start();
        *bench.puppet.0.read.lock() = Some(Err(Failure::new(Class::Io, "gone")));
        for _ in 0..3 {
            ask(&bench).await.unwrap_err();
        }
        assert!(ask(&bench).await.unwrap_err().retry_after() <= Some(OPEN), "{place}");
        assert_eq!(bench.puppet.0.reads.load(Ordering::Relaxed), 3, "{place}: the store is not touched");
    }
}
