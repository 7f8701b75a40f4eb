//! A provider that does on the wire exactly what a test says, connection by connection, and tells what it sees there.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use crate::harness::PATIENCE;

/// What the peer does when a request has come whole.
#[derive(Debug, Clone)]
pub enum Does {
    /// Writes this.
    Writes(String),
    /// Waits until the test says so, or the other side goes away.
    Waits,
    /// Ends the connection.
    Closes,
}

/// What it sees.
#[derive(Debug, PartialEq, Eq)]
pub enum Sees {
    Connection,
    /// A request, head and body.
    Request(String),
    /// It waits now.
    Waiting,
    /// The other side ended the connection.
    Gone,
}

pub struct Peer {
    pub address: SocketAddr,
    seen: UnboundedReceiver<Sees>,
    go_on: UnboundedSender<()>,
    connections: usize,
    task: JoinHandle<()>,
}

impl Peer {
    /// Does one list after the other, one for each request.
    pub async fn start(does: Vec<Vec<Does>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (sees, seen) = unbounded_channel();
        let (go_on, mut go) = unbounded_channel();
        let task = tokio::spawn(async move {
            let mut does = does.into_iter();
            while let Ok((stream, _)) = listener.accept().await {
                sees.send(Sees::Connection).ok();
                serve(stream, &mut does, &sees, &mut go).await;
            }
        });
        Self { address, seen, go_on, connections: 0, task }
    }

    /// What it sees next.
    pub async fn sees(&mut self) -> Sees {
        let seen = tokio::time::timeout(PATIENCE, self.seen.recv()).await;
        let seen = seen.expect("something happens").expect("the peer is there");
        self.connections += usize::from(seen == Sees::Connection);
        seen
    }

    /// The next request that it sees, whatever it sees before.
    pub async fn request(&mut self) -> String {
        loop {
            if let Sees::Request(request) = self.sees().await {
                return request;
            }
        }
    }

    /// Waits no longer.
    pub fn go_on(&self) {
        self.go_on.send(()).expect("the peer is there");
    }

    /// How many connections there were, as far as it was asked what it sees.
    pub fn connections(&self) -> usize {
        self.connections
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    does: &mut impl Iterator<Item = Vec<Does>>,
    sees: &UnboundedSender<Sees>,
    go: &mut UnboundedReceiver<()>,
) {
    while let Some(request) = request(&mut stream).await {
        sees.send(Sees::Request(request)).ok();
        for step in does.next().unwrap_or_default() {
            match step {
                Does::Writes(text) => stream.write_all(text.as_bytes()).await.expect("somebody reads"),
                Does::Closes => return,
                Does::Waits => {
                    sees.send(Sees::Waiting).ok();
                    let gone = tokio::select! {
                        _ = stream.read_u8() => true,
                        _ = go.recv() => false,
                    };
                    if gone {
                        sees.send(Sees::Gone).ok();
                        return;
                    }
                }
            }
        }
    }
    sees.send(Sees::Gone).ok();
}

/// A request, as far as its `content-length`; none where the connection ends before one is whole.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
        let read = stream.read_buf(&mut bytes).await.ok()?;
        if read == 0 {
            return None;
        }
    }
}

/// A response of this status, whole.
pub fn whole(status: u16, headers: &str, body: &str) -> Does {
    let length = body.len();
    Does::Writes(format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{headers}\r\n{body}"))
}

/// The head of a response that comes chunk by chunk.
pub fn chunked() -> Does {
    Does::Writes("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".into())
}

/// One chunk of it.
pub fn chunk(text: &str) -> Does {
    Does::Writes(format!("{:x}\r\n{text}\r\n", text.len()))
}

/// Its end.
pub fn last_chunk() -> Does {
    Does::Writes("0\r\n\r\n".into())
}
