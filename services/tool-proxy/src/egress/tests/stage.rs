//! Servers to be reached or not, and a resolver that changes its mind.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A server that gives each connection the same answer, and counts them.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    connections: Arc<watch::Sender<usize>>,
}

impl Server {
    pub(super) async fn start(at: &str, answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::by_path(at, move |path| if path == "/end" { OK.to_owned() } else { answer.clone() }).await
    }

    pub(super) async fn by_path(at: &str, answer: impl Fn(&str) -> String + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind(at).await.expect("the address is ours");
        let server = Self { address: listener.local_addr().expect("it is bound"), connections: Arc::default() };
        let heard = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                heard.connections.send_modify(|count| *count += 1);
                tokio::spawn(heard.clone().speak(socket, answer.clone()));
            }
        });
        server
    }

    async fn speak(self, mut socket: TcpStream, answer: impl Fn(&str) -> String) {
        let mut request = vec![0; 4096];
        let read = socket.read(&mut request).await.unwrap_or(0);
        request.truncate(read);
        let text = String::from_utf8_lossy(&request).into_owned();
        let path = text.split_whitespace().nth(1).unwrap_or_default();
        // Whoever went away needs no answer.
        let _ = socket.write_all(answer(path).as_bytes()).await;
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";

pub(super) fn moved(to: &str) -> String {
    moved_by(307, to)
}

pub(super) fn moved_by(status: u16, to: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nconnection: close\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

/// A resolver that gives each name its answers in turn, and the last for ever.
#[derive(Default)]
pub(super) struct Names(Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let mut names = self.0.lock();
        let turns = names.get_mut(name.as_str()).expect("a known name");
        let now = if turns.len() > 1 { turns.pop_front() } else { turns.front().cloned() };
        // A port of the resolver's own must not count.
        let found = now.unwrap_or_default().into_iter().map(|address| SocketAddr::new(address, 1));
        Box::pin(std::future::ready(Ok(Box::new(found) as Addrs)))
    }
}

pub(super) fn names(name: &str, turns: &[&[&str]]) -> Arc<Names> {
    let addresses = |turn: &&[&str]| turn.iter().map(|address| address.parse().expect("an address")).collect();
    Arc::new(Names(Mutex::new([(name.to_owned(), turns.iter().map(addresses).collect())].into())))
}
