//! The raw baseline, in a process of its own.

use std::net::Ipv4Addr;

use bytes::Bytes;
use tonic::{Request, Response, Status, transport::Channel};

use crate::{
    Figures,
    again::Again,
    figure,
    load::{Call, Load, ROUNDS, channels, drive, median, pairs},
};

#[allow(unused_qualifications, reason = "generated")]
mod wire {
    tonic::include_proto!("echo");
}

use wire::{
    Message,
    echo_client::EchoClient,
    echo_server::{Echo, EchoServer},
};

struct Stock;

#[tonic::async_trait]
impl Echo for Stock {
    async fn unary(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// Serves until it is killed.
pub(crate) async fn serve(port: u16) {
    let server = tonic::transport::Server::builder().add_service(EchoServer::new(Stock));
    server.serve((Ipv4Addr::LOCALHOST, port).into()).await.expect("the port is free");
}

/// A running echo.
pub(crate) struct Baseline(Again);

impl Baseline {
    pub(crate) async fn start() -> Self {
        Self(Again::start("serve-echo").await)
    }

    pub(crate) async fn load(&self, callers: usize) -> Load {
        let channels = channels(&self.0.url(), callers).await;
        drive(channels.into_iter().map(|channel| Caller { client: EchoClient::new(channel) }).collect()).await
    }
}

struct Caller {
    client: EchoClient<Channel>,
}

impl Call for Caller {
    async fn call(&mut self) {
        let message = Message { data: vec![7; 256] };
        self.client.unary(message).await.expect("the echo answers");
    }
}

/// The baseline's own figures: calls a second and microseconds, for orientation.
pub(crate) async fn bench() -> Figures {
    let baseline = Baseline::start().await;
    let mut figures = Figures::new();
    for callers in [1, 64, 256] {
        let load = baseline.load(callers).await;
        figures.insert(format!("rate_{callers}"), figure(load.rate));
        figures.insert(format!("p50_us_{callers}"), figure(load.p50.as_secs_f64() * 1e6));
    }
    figures
}

/// A payload as large as the echo's.
pub(crate) fn payload() -> Bytes {
    Bytes::from(format!("\"{}\"", "x".repeat(254)))
}

/// What a proxy adds to the call that it makes: in the echo's round trips at one caller, and in rate at many.
pub(crate) async fn added<D: Future<Output = Load>, P: Future<Output = Load>>(
    direct: impl Fn(usize) -> D,
    proxied: impl Fn(usize) -> P,
) -> Figures {
    let echo = Baseline::start().await;
    let mut one = Vec::new();
    for _ in 0..ROUNDS {
        // All three in turn: what drifts meets each of them.
        one.push([echo.load(1).await, direct(1).await, proxied(1).await].map(|load| load.p50.as_secs_f64()));
    }
    let rtts = median(&one, |[echo, direct, ours]| (ours - direct) / echo);
    let many = pairs(|| direct(64), || proxied(64)).await;
    let mut figures = Figures::new();
    figures.insert("added_rtts_1".into(), figure(rtts));
    figures.insert("direct_ratio_64".into(), figure(median(&many, |(direct, ours)| ours.rate / direct.rate)));
    figures
}
