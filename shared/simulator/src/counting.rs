//! A listener that counts the connections which it accepts.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};

use crate::changes::Changes;

pub(crate) struct CountingListener {
    inner: TcpListener,
    accepted: Arc<AtomicU64>,
    changes: Changes,
}

impl CountingListener {
    pub(crate) fn new(inner: TcpListener, accepted: Arc<AtomicU64>, changes: Changes) -> Self {
        Self { inner, accepted, changes }
    }
}

impl Listener for CountingListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let accepted = Listener::accept(&mut self.inner).await;
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.changes.ring();
        accepted
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}
