use std::{io, time::Duration};

use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::body::Body;
use tracing::debug;

use super::{
    Stacked,
    reader::{self, Calls},
};
use crate::io::{Gathering, Opened, Socket};

/// Bounds of one server. Every one has a name, so that none is forgotten.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls in flight in the process; one more is refused.
    pub in_flight_max: usize,
    /// Calls in flight on one connection; HTTP/2 makes the client wait.
    pub streams_per_connection_max: u32,
    /// Bytes of one call's answer that wait to be written to a connection; then whoever makes them waits.
    pub send_buffer_max: usize,
    /// A call whose reader takes nothing of its answer for this long is given up, and one past its deadline at once.
    pub slow_max: Duration,
    /// Open connections; a further one waits to be accepted.
    pub connections_max: usize,
    /// A connection that stays silent this long is asked whether it lives.
    pub keepalive_interval: Duration,
    /// And is dropped when it does not say so within this long.
    pub keepalive_timeout: Duration,
    /// A connection is asked to go after this long, so that load spreads over new processes.
    pub connection_age_max: Duration,
    /// A new connection says within this long which HTTP it speaks, and over HTTP/1.1 the head of a next request comes within
    /// this long, or it is closed.
    pub head_max: Duration,
    /// TLS handshakes end within this long.
    pub handshake_max: Duration,
    /// After a stop, calls may go on for this long.
    pub drain_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_max: 20_000,
            streams_per_connection_max: 10_000,
            send_buffer_max: 400 << 10,
            slow_max: Duration::from_secs(60),
            connections_max: 10_000,
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            connection_age_max: Duration::from_secs(3_600),
            head_max: Duration::from_secs(60),
            handshake_max: Duration::from_secs(5),
            drain_max: Duration::from_secs(10),
        }
    }
}

/// HTTP/2 windows: one call may have this much on its way, and a connection this much.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
const HEADER_LIST_MAX: u32 = 16 << 10;
const RESET_STREAMS_MAX: usize = 1_024;
/// Over HTTP/1.1: what is read ahead on a connection, which bounds a request's head.
const READ_AHEAD_MAX: usize = 64 << 10;

/// Serves connections until `stop`, then lets calls end within [`Limits::drain_max`].
///
/// # Errors
/// The listener broke.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Stacked,
    limits: Limits,
    stop: CancellationToken,
) -> io::Result<()> {
    let connections = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept(), if connections.len() < limits.connections_max => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors or a connection reset while it waited: the next accept may do.
                    debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
            },
            () = tokio::time::sleep(Duration::from_millis(50)), if connections.len() >= limits.connections_max => continue,
        };
        let (service, tls, stop) = (service.clone(), tls.clone(), stop.clone());
        connections.spawn(async move {
            if let Err(error) = connection(stream, tls, service, limits, stop).await {
                debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain_max, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "calls were still open at the end of the drain");
    }
    Ok(())
}

fn builder(limits: &Limits, calls: Calls) -> Builder<Calls> {
    let mut builder = Builder::new(calls);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.streams_per_connection_max)
        .max_send_buf_size(limits.send_buffer_max)
        .max_header_list_size(HEADER_LIST_MAX)
        .max_local_error_reset_streams(RESET_STREAMS_MAX)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head_max).max_buf_size(READ_AHEAD_MAX);
    builder
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    service: Stacked,
    limits: Limits,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let socket = Socket::new(stream)?;
    let gathering = socket.gathering();
    match tls {
        None => http(socket, gathering, service, limits, stop).await,
        Some(tls) => {
            let secured = tokio::time::timeout(limits.handshake_max, tls.accept(socket)).await??;
            http(secured, gathering, service, limits, stop).await
        }
    }
}

async fn http(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    gathering: Gathering,
    service: Stacked,
    limits: Limits,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Whoever serves a connection waits for these bytes without a clock.
    let io = tokio::select! {
        opened = tokio::time::timeout(limits.head_max, Opened::hear(io)) => opened??,
        () = stop.cancelled() => return Ok(()),
    };
    let service = service_fn(move |request: http::Request<Incoming>| {
        let service = service.clone();
        // Not before it is polled: that is in the call's own task, and not in the connection's, which others share.
        async move { service(request.map(Body::new)).await }
    });
    let (calls, is_http_2) = (Calls::new(limits.slow_max), io.is_http_2());
    if is_http_2 {
        gathering.begin();
    }
    let builder = builder(&limits, calls.clone());
    let connection = builder.serve_connection(TokioIo::new(io), service);
    let aged = async {
        let age = Instant::now() + limits.connection_age_max;
        tokio::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop.cancelled() => {}
            () = tokio::time::sleep_until(age) => {}
        }
        // The client is told to open a new connection; the calls on this one end as they would.
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection => ended,
            // What then still lies there is what its peer made no room for.
            () = calls.over(), if is_http_2 => Err("nobody takes what is left".into()),
        }
    };
    // Over HTTP/1.1 the connection drives its calls itself.
    reader::bounded(aged, limits.slow_max).await.unwrap_or_else(|| Err("nobody takes an answer".into()))
}
