mod cluster;
mod sentinel;

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

pub use cluster::RedisCluster;
pub use sentinel::RedisSentinel;

use crate::scratch::Scratch;
use crate::server::{program, ready};
use crate::{Process, Signal, ports};

/// A Redis of the test's own, with an append-only file, so that a restart finds what was there.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
    arguments: Vec<String>,
    scratch: Scratch,
}

impl Redis {
    /// Starts it and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more arguments, such as `--appendonly no`; the last one of a name counts.
    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::start_at(ports::free(), arguments).await
    }

    async fn start_at(port: u16, arguments: &[&str]) -> Self {
        let scratch = Scratch::new("redis");
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let process = spawn(port, scratch.path(), &arguments).await;
        Self { process, port, arguments, scratch }
    }

    /// Starts another that follows the one at this address, and waits until it has what that has. Through a
    /// [`FaultProxy`](crate::FaultProxy) it can be kept from the newest writes.
    pub async fn start_replica(of: SocketAddr) -> Self {
        let mut replica = Self::start().await;
        let (host, port) = (of.ip(), of.port());
        let followed = replica.command(&format!("REPLICAOF {host} {port}")).await.expect("it answers");
        assert_eq!(followed, "+OK\r\n");
        let at = replica.port;
        ready("replica", &mut replica.process, || says(at, "INFO replication", "master_link_status:up")).await;
        replica
    }

    /// Makes a replica a master with what it has.
    ///
    /// # Panics
    /// Where it refuses.
    pub async fn promote(&mut self) {
        assert_eq!(self.command("REPLICAOF NO ONE").await.expect("it answers"), "+OK\r\n");
        let at = self.port;
        ready("replica", &mut self.process, || says(at, "INFO replication", "role:master")).await;
    }

    /// Waits until it has a key.
    pub async fn has(&mut self, key: &str) {
        let (at, exists) = (self.port, format!("EXISTS {key}"));
        ready("redis", &mut self.process, || says(at, &exists, ":1")).await;
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again, with the same port and files.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.process = spawn(self.port, self.scratch.path(), &self.arguments).await;
    }

    /// Puts another, empty one in its place.
    pub async fn replace(&mut self) {
        self.kill().await;
        self.scratch = Scratch::new("redis");
        self.process = spawn(self.port, self.scratch.path(), &self.arguments).await;
    }

    /// Freezes or thaws it.
    pub async fn signal(&self, signal: Signal) {
        self.process.signal(signal).await;
    }

    /// Sends one inline command and reads the first piece of the answer, in Redis' own notation.
    ///
    /// # Errors
    /// Where the connection fails.
    pub async fn command(&self, line: &str) -> std::io::Result<String> {
        command(self.port, line).await
    }
}

async fn spawn(port: u16, directory: &Path, arguments: &[String]) -> Process {
    let mut redis = Command::new(program("redis-server", [], "redis-server"));
    redis.arg("--port").arg(port.to_string()).arg("--dir").arg(directory);
    redis.args(["--bind", "127.0.0.1", "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]);
    redis.args(["--repl-diskless-sync-delay", "0"]).args(arguments);
    let mut process = Process::start("redis", redis, directory);
    ready("redis", &mut process, || says(port, "PING", "PONG")).await;
    process
}

async fn says(port: u16, line: &str, wanted: &str) -> bool {
    command(port, line).await.is_ok_and(|said| said.contains(wanted) || said.starts_with("-NOAUTH"))
}

async fn command(port: u16, line: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    let mut answer = vec![0; 16 * 1024];
    let read = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}
