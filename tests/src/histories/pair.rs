//! A Redis with a replica that takes over when it dies, without the writes that came last.

use std::time::Duration;

use holdfast_testkit::{Fault, FaultProxy, Redis, RedisSentinel};
use tokio::time::sleep;

/// For so long the replica hears nothing before the master dies: these writes it lacks.
const DEAF: Duration = Duration::from_millis(200);

/// A master, its replica, and the Sentinel that watches them.
#[derive(Debug)]
pub struct Pair {
    master: Redis,
    link: FaultProxy,
    replica: Redis,
    sentinel: RedisSentinel,
}

impl Pair {
    /// Starts all three.
    pub async fn start() -> Self {
        let master = Redis::start().await;
        let (link, replica) = follow(&master).await;
        let sentinel = RedisSentinel::start(&master).await;
        Self { master, link, replica, sentinel }
    }

    /// Where the master is named.
    pub fn url(&self) -> String {
        self.sentinel.url()
    }

    /// The master dies, and the replica takes over with what it had heard. Another replica follows it.
    pub async fn fail_over(&mut self) {
        self.link.set(Fault::Stall);
        sleep(DEAF).await;
        self.master.kill().await;
        self.sentinel.names(&self.replica).await;
        let (link, next) = follow(&self.replica).await;
        self.master = std::mem::replace(&mut self.replica, next);
        self.link = link;
    }
}

async fn follow(master: &Redis) -> (FaultProxy, Redis) {
    let link = FaultProxy::to(master.address()).await;
    let replica = Redis::start_replica(link.address()).await;
    (link, replica)
}
