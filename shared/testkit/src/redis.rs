use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::scratch::Scratch;
use crate::server::{program, ready};
use crate::{Process, Signal, ports};

/// A Redis of the test's own, with an append-only file, so that a restart finds what was there.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
    scratch: Scratch,
}

impl Redis {
    /// Starts it and waits until it answers.
    pub async fn start() -> Self {
        let scratch = Scratch::new("redis");
        let port = ports::free();
        let process = spawn(port, scratch.path()).await;
        Self { process, port, scratch }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again, with the same port and files.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.process = spawn(self.port, self.scratch.path()).await;
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

async fn spawn(port: u16, directory: &Path) -> Process {
    let mut redis = Command::new(program("redis-server", [], "redis-server"));
    redis.arg("--port").arg(port.to_string()).arg("--dir").arg(directory);
    redis.args(["--bind", "127.0.0.1", "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]);
    let mut process = Process::start("redis", redis, directory);
    ready("redis", &mut process, || async { command(port, "PING").await.is_ok_and(|pong| pong == "+PONG\r\n") }).await;
    process
}

async fn command(port: u16, line: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}
