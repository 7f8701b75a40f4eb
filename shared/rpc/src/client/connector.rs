use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use crate::io::Socket;

/// Opens sockets that let h2 coalesce small frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connector;

impl Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<TokioIo<Socket>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
            let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
            let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(default))).await?;
            let socket = Socket::new(stream)?;
            socket.gathering().begin();
            Ok(TokioIo::new(socket))
        })
    }
}
