//! A raw tonic echo in a process of its own: what this machine can do at this moment.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use holdfast_testkit::Process;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

use super::submission::connections;
use super::{Arrivals, Findings, Offered, Size, Spread, offer};

#[allow(unused_qualifications, reason = "generated")]
mod wire {
    tonic::include_proto!("echo");
}

use wire::Message;
use wire::echo_client::EchoClient;
use wire::echo_server::{Echo, EchoServer};

const CALLERS: usize = 256;
const WARM_UP: Duration = Duration::from_millis(500);

/// A pool of workers is given this part of the echo's rate.
const PART_OF_ECHO: f64 = 50.0;
/// What a build that is not optimised can do too, on a machine with much else to do.
const CAPACITY_MIN: f64 = 100.0;

struct Stock;

#[tonic::async_trait]
impl Echo for Stock {
    async fn unary(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// Serves until it is killed.
///
/// # Panics
/// Where the port is taken.
pub async fn serve(port: u16) {
    let server = Server::builder().add_service(EchoServer::new(Stock));
    server.serve((Ipv4Addr::LOCALHOST, port).into()).await.expect("the port is free");
}

/// A running echo. Ends with this value.
#[derive(Debug)]
pub struct Baseline {
    _process: Process,
    _log: tempfile::TempDir,
    channels: Vec<Channel>,
}

impl Baseline {
    /// Starts this executable again, as an echo.
    ///
    /// # Panics
    /// Where that is not possible.
    pub async fn start() -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = socket.local_addr().expect("a bound socket").port();
        drop(socket);
        let mut command = Command::new(std::env::current_exe().expect("this executable has a path"));
        command.args(["serve-echo", &port.to_string()]);
        let log = tempfile::tempdir().expect("the system's temporary directory can be written");
        let process = Process::start("echo", command, log.path());
        let channels = connections(&format!("http://127.0.0.1:{port}"));
        while say(&channels[0]).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        Self { _process: process, _log: log, channels }
    }

    /// What a pool of workers shall be able to do a second, so that it bounds a mesh on any machine: a part of what the echo
    /// does just now.
    ///
    /// # Panics
    /// Where a call is not answered.
    pub async fn capacity(&self, size: Size, findings: &mut Findings) -> f64 {
        let echo_rate = self.rate(size.of(Duration::from_secs(3), Duration::from_secs(1))).await;
        let capacity = (echo_rate / PART_OF_ECHO).round().max(CAPACITY_MIN);
        findings.tell("echo_per_s", echo_rate);
        findings.tell("capacity_per_s", capacity);
        capacity
    }

    /// Calls a second, of callers who call again as soon as they are answered.
    async fn rate(&self, length: Duration) -> f64 {
        let from = Instant::now() + WARM_UP;
        let until = from + length;
        let mut callers = JoinSet::new();
        for channel in self.channels.iter().cycle().take(CALLERS) {
            let channel = channel.clone();
            callers.spawn(async move {
                let mut calls = 0_u32;
                loop {
                    say(&channel).await.expect("the echo answers");
                    let now = Instant::now();
                    if now > until {
                        return calls;
                    }
                    calls += u32::from(now >= from);
                }
            });
        }
        f64::from(callers.join_all().await.iter().sum::<u32>()) / length.as_secs_f64()
    }

    /// Times in milliseconds, of calls that are offered at a rate.
    ///
    /// # Panics
    /// Where a call is not answered.
    pub async fn times(&self, per_second: f64, length: Duration) -> Spread {
        let mut channels = self.channels.iter().cycle().cloned();
        let Offered { answers, .. } = offer(Arrivals::new(per_second, length), || {
            let channel = channels.next().expect("there is one at least");
            async move {
                let begun = Instant::now();
                say(&channel).await.expect("the echo answers");
                begun.elapsed()
            }
        })
        .await;
        answers.into_iter().collect()
    }
}

async fn say(channel: &Channel) -> Result<Response<Message>, Status> {
    EchoClient::new(channel.clone()).unary(Message { data: vec![7; 64] }).await
}
