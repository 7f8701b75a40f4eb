//! Locks of several processes on one database, asked of the use cases themselves: each process has desks of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use holdfast_rpc::time::now_micros;
use holdfast_state::{
    State,
    domain::{Partition, Precondition, Value},
    failed::Failed,
    locks::{Acquire, Held, Lock},
    write::{Command, Durability, Guard, Refusal, Write, Written},
};

use super::Several;

const LONG: Duration = Duration::from_secs(60);
const NAME: &str = "plough";

fn partition() -> Partition {
    Partition::new("acme", "farms", "F-1").expect("names")
}

fn ask(ttl: Duration, wait: Duration) -> Acquire {
    Acquire {
        partition: partition(),
        name: NAME.into(),
        ttl,
        wait,
        request_id: uuid::Uuid::now_v7(),
        holder: "somebody".into(),
        lease: None,
    }
}

fn held(fence: u64) -> Held {
    Held { partition: partition(), name: NAME.into(), fence, lease: None }
}

async fn write_under(state: &State, fence: u64) -> Result<Written, Failed> {
    let write = Write {
        address: partition().record("field"),
        precondition: Precondition::Overwrite,
        value: Some(Value { data: fence.to_string().into(), content_type: "".into() }),
        expires: None,
    };
    let command = Command {
        writes: vec![write],
        guard: Some(Guard { address: partition().hidden("lock", NAME), revision: fence }),
        write_id: None,
        invocation_id: "".into(),
        durability: Durability::Durable,
        now: now_micros(),
    };
    state.write(&command, None).await
}

fn lock_lost<T>(outcome: Result<T, Failed>) -> bool {
    matches!(outcome, Err(Failed::Refused(refusal)) if matches!(*refusal, Refusal::LockLost { .. }))
}

#[tokio::test]
async fn many_at_several_processes_have_the_lock_one_after_another() {
    let several = Several::start(3).await;
    let inside = Arc::new(AtomicUsize::new(0));
    let work = (0..60).map(|n| {
        let (state, inside) = (several.turn(n).state.clone(), Arc::clone(&inside));
        async move {
            let lock = state.acquire(ask(LONG, LONG)).await.expect("everybody's turn comes");
            assert_eq!(inside.fetch_add(1, SeqCst), 0, "one at a time");
            write_under(&state, lock.fence).await.expect("it is the holder");
            inside.fetch_sub(1, SeqCst);
            state.release(&held(lock.fence)).await.expect("the database is there");
            lock.fence
        }
    });
    let mut fences = join_all(work).await;
    fences.sort_unstable();
    fences.dedup();
    assert_eq!(fences.len(), 60, "no fence is given twice");
}

#[tokio::test]
async fn a_lock_lapses_by_the_clock_of_whoever_waits_and_its_holder_is_refused_then() {
    let several = Several::start(2).await;
    let (late, next) = (&several.turn(0).state, &several.turn(1).state);
    let ttl = Duration::from_secs(1);
    let lock = late.acquire(ask(ttl, Duration::ZERO)).await.expect("it is free");
    let started = Instant::now();
    let taken: Lock = next.acquire(ask(LONG, LONG)).await.expect("its holder says nothing");
    assert!(started.elapsed() >= ttl && taken.fence > lock.fence);
    assert!(lock_lost(late.renew(&held(lock.fence)).await));
    assert!(lock_lost(write_under(late, lock.fence).await));
    late.release(&held(lock.fence)).await.expect("giving back what is lost is no error");
    write_under(late, taken.fence).await.expect("the fence counts, wherever it is shown");
}

/// Renewals and take-overs race for as long as they like: a renewal that was answered is never overlooked.
#[tokio::test]
async fn a_lock_that_is_renewed_in_time_is_nobody_elses() {
    let several = Several::start(2).await;
    let (holder, other) = (several.turn(0).state.clone(), several.turn(1).state.clone());
    let ttl = Duration::from_secs(1);
    let lock = holder.acquire(ask(ttl, Duration::ZERO)).await.expect("it is free");
    let waits = tokio::spawn(async move { other.acquire(ask(LONG, LONG)).await });
    let started = Instant::now();
    let mut renewed = started;
    let mut beat = tokio::time::interval(ttl / 10);
    while started.elapsed() < ttl * 3 {
        let sent = Instant::now();
        if sent.duration_since(renewed) < ttl {
            holder.renew(&held(lock.fence)).await.expect("the last renewal is younger than the lock's time");
            renewed = sent;
        }
        beat.tick().await;
        assert!(renewed.elapsed() >= ttl || !waits.is_finished());
    }
    waits.await.expect("no panic").expect("it has its turn in the end");
}
