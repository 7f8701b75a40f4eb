//! Locks over a place that decides in memory, in paused time: a handle of it is a process.

mod lapses;
mod line;
mod repeats;
mod trouble;

use std::{sync::Arc, time::Duration};

use holdfast_rpc::{service::Stop, time::now_micros};
use tokio::{task::JoinHandle, time::Instant};
use uuid::Uuid;

use super::{Acquire, Held, Lock};
use crate::{
    config::Config,
    decider::model::Model,
    domain::{Partition, Precondition, Value},
    failed::Failed,
    state::State,
    write::{Command, Durability, Guard, Holder, Refusal, Write, Written},
};

const TTL: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(600);
const NAME: &str = "plough";

/// A process.
#[derive(Clone)]
struct Process {
    model: Arc<Model>,
    state: State,
    stop: Stop,
}

impl Process {
    fn first() -> Self {
        Self::over(Model::new())
    }

    fn over(model: Arc<Model>) -> Self {
        let stop = Stop::new();
        let state = State::with(Arc::clone(&model) as _, &Config::default(), stop.clone());
        Self { model, state, stop }
    }

    fn another(&self) -> Self {
        Self::over(self.model.another())
    }

    /// As kill -9 does it: nothing is tidied up.
    fn die(&self) {
        self.model.away(true);
        self.stop.cancel();
    }

    async fn take(&self, wait: Duration) -> Result<Lock, Failed> {
        self.state.acquire(ask("somebody", wait)).await
    }

    /// Asks in a task of its own, and lets it come to its place in line.
    async fn queue(&self, holder: &str, wait: Duration) -> JoinHandle<Result<Lock, Failed>> {
        self.queue_as(ask(holder, wait)).await
    }

    async fn queue_as(&self, acquire: Acquire) -> JoinHandle<Result<Lock, Failed>> {
        let before = self.waiting().await;
        let state = self.state.clone();
        let call = tokio::spawn(async move { state.acquire(acquire).await });
        while self.waiting().await == before && !call.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        call
    }

    async fn waiting(&self) -> usize {
        self.state.locks(&partition(), "", 10).await.map_or(0, |locks| locks.first().map_or(0, |lock| lock.waiting))
    }

    async fn renew(&self, fence: u64) -> Result<(), Failed> {
        self.state.renew(&held(fence)).await
    }

    async fn release(&self, fence: u64) -> Result<(), Failed> {
        self.state.release(&held(fence)).await
    }

    /// Writes a record under the lock.
    async fn write_under(&self, fence: u64) -> Result<Written, Failed> {
        let address = partition().hidden("lock", NAME);
        let command = Command { guard: Some(Guard { address, revision: fence }), ..overwrite("field", "ploughed") };
        self.state.write(&command, None).await
    }
}

fn partition() -> Partition {
    Partition::new("acme", "farms", "F-1").expect("names")
}

fn ask(holder: &str, wait: Duration) -> Acquire {
    Acquire {
        partition: partition(),
        name: NAME.into(),
        ttl: TTL,
        wait,
        request_id: Uuid::now_v7(),
        holder: holder.into(),
        lease: None,
    }
}

fn held(fence: u64) -> Held {
    Held { partition: partition(), name: NAME.into(), fence, lease: None }
}

fn overwrite(key: &str, data: &'static str) -> Command {
    let value = Some(Value { data: data.into(), content_type: "".into() });
    let address = partition().record(key);
    Command {
        writes: vec![Write { address, precondition: Precondition::Overwrite, value, expires: None }],
        guard: None,
        write_id: None,
        invocation_id: "".into(),
        durability: Durability::Durable,
        now: now_micros(),
    }
}

#[track_caller]
fn assert_lock_lost<T: std::fmt::Debug>(outcome: Result<T, Failed>) {
    match outcome {
        Err(Failed::Refused(refusal)) if matches!(*refusal, Refusal::LockLost { .. }) => {}
        other => panic!("the lock is lost: {other:?}"),
    }
}

#[track_caller]
fn assert_held_by_another<T: std::fmt::Debug>(outcome: Result<T, Failed>) {
    assert!(matches!(outcome, Err(Failed::LockHeld { .. })), "{outcome:?}");
}

async fn told(call: JoinHandle<Result<Lock, Failed>>) -> Result<Lock, Failed> {
    tokio::time::timeout(LONG * 10, call).await.expect("it ends").expect("nothing panics")
}
