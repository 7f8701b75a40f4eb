//! A tool below HTTP: it says exactly the bytes that it is given, and sees connections end.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it does with each connection once something has arrived on it.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// Nothing, and waits.
    Nothing,
    /// These bytes, and waits.
    Bytes(Vec<u8>),
    /// These bytes, and closes the connection.
    Last(Vec<u8>),
}

/// Where its connections stand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) opened: usize,
    /// Something has arrived on so many.
    pub(crate) spoken_to: usize,
    /// So many were ended by the other side.
    pub(crate) left: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct RawServer {
    address: SocketAddr,
    seen: Arc<watch::Sender<Seen>>,
}

impl RawServer {
    pub(crate) async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let server = Self { address, seen: Arc::new(watch::Sender::new(Seen::default())) };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                accepting.seen.send_modify(|seen| seen.opened += 1);
                tokio::spawn(accepting.clone().speak(socket, says.clone()));
            }
        });
        server
    }

    async fn speak(self, mut socket: TcpStream, says: Says) {
        let mut buffer = [0; 4096];
        let mut spoken = false;
        while !matches!(socket.read(&mut buffer).await, Ok(0) | Err(_)) {
            if std::mem::replace(&mut spoken, true) {
                continue;
            }
            self.seen.send_modify(|seen| seen.spoken_to += 1);
            match &says {
                Says::Nothing => {}
                // Whoever breaks off has seen why.
                Says::Bytes(bytes) => drop(socket.write_all(bytes).await),
                Says::Last(bytes) => {
                    drop(socket.write_all(bytes).await);
                    return;
                }
            }
        }
        self.seen.send_modify(|seen| seen.left += 1);
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/", self.address)
    }

    /// The name of its circuit, as a host of tools.
    pub(crate) fn circuit(&self) -> String {
        format!("host:{}", self.address)
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until its connections stand so.
    pub(crate) async fn until(&self, holds: impl Fn(&Seen) -> bool) {
        self.seen.subscribe().wait_for(|seen| holds(seen)).await.expect("the server lives");
    }
}
