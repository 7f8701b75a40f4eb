use tokio::process::Command;

use super::{Redis, says};
use crate::scratch::Scratch;
use crate::server::{program, ready};
use crate::{Process, ports};

/// A Sentinel of the test's own that watches one master alone, and fails over as soon as it is silent for half a second.
#[derive(Debug)]
pub struct RedisSentinel {
    process: Process,
    port: u16,
    _scratch: Scratch,
}

/// What it calls its master.
const MASTER: &str = "holdfast";

impl RedisSentinel {
    /// Starts it beside a master and its replica, and waits until it knows both.
    pub async fn start(master: &Redis) -> Self {
        let scratch = Scratch::new("sentinel");
        let port = ports::free();
        let watched = master.port();
        let settings = scratch.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {MASTER} 127.0.0.1 {watched} 1\n\
             sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 3000\n"
        );
        std::fs::write(&settings, text).expect("the test's directory can be written");
        let mut sentinel = Command::new(program("redis-server", [], "redis-server"));
        sentinel.arg(settings).arg("--sentinel");
        let mut process = Process::start("sentinel", sentinel, scratch.path());
        let replicas = format!("SENTINEL MASTER {MASTER}");
        ready("sentinel", &mut process, || says(port, &replicas, "num-slaves\r\n$1\r\n1\r\n")).await;
        Self { process, port, _scratch: scratch }
    }

    /// The URL of the master that it watches.
    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/{MASTER}", self.port)
    }

    /// Waits until it names this one as the master.
    pub async fn names(&mut self, master: &Redis) {
        let port = self.port;
        let question = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {MASTER}");
        let wanted = master.port().to_string();
        ready("sentinel", &mut self.process, || says(port, &question, &wanted)).await;
    }
}
