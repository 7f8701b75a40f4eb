//! A tool that does what the test says, and remembers everything that reached it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What a path does with a request.
#[derive(Clone)]
pub(crate) enum Does {
    /// Answers JSON.
    Answer(u16, Value),
    /// Answers bytes of a type.
    Typed(&'static str, &'static [u8]),
    /// Sends this many bytes without saying so before.
    Chunks(usize),
    /// Leads elsewhere.
    Redirect(String),
    /// Never answers.
    Hang,
    /// Takes the request and closes the connection.
    Break,
    /// Sends the head of an answer and closes the connection.
    BreakAfterHead,
    /// Refuses, and says after how many seconds to come back.
    Later(u16, u64),
    /// Answers when the gate has a permit.
    Gate(Arc<Semaphore>, Value),
    /// The first one once, then the next.
    First(Box<Does>, Box<Does>),
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) method: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Hit {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("plain ASCII"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// A server with a script for each path.
#[derive(Clone)]
pub(crate) struct ToolServer {
    address: SocketAddr,
    scheme: &'static str,
    script: Arc<Mutex<HashMap<String, Does>>>,
    hits: Arc<watch::Sender<Vec<Hit>>>,
    connections: Arc<watch::Sender<usize>>,
    /// Requests that were answered, and those whose senders went away before.
    ended: Arc<watch::Sender<(usize, usize)>>,
}

/// A request under way.
struct UnderWay {
    ended: Arc<watch::Sender<(usize, usize)>>,
    answered: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.ended.send_modify(|(answered, gone)| if self.answered { *answered += 1 } else { *gone += 1 });
    }
}

type Answer = Response<BoxBody<Bytes, std::io::Error>>;

impl ToolServer {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    pub(crate) async fn at(address: &str) -> Self {
        Self::listen(TcpListener::bind(address).await.expect("the address is ours"), None)
    }

    /// One at every address of this machine.
    pub(crate) async fn everywhere() -> Self {
        let both = TcpListener::bind("[::]:0").await;
        let listener = match both {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("0.0.0.0:0").await.expect("a port is free"),
        };
        Self::listen(listener, None)
    }

    /// One on https, for the name `localhost`.
    pub(crate) async fn secured(certificate: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        Self::listen(listener, Some(TlsAcceptor::from(Arc::new(certificate))))
    }

    fn listen(listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        let server = Self {
            address: listener.local_addr().expect("a bound socket has an address"),
            scheme: if tls.is_some() { "https" } else { "http" },
            script: Arc::default(),
            hits: Arc::new(watch::Sender::new(Vec::new())),
            connections: Arc::new(watch::Sender::new(0)),
            ended: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                accepting.connections.send_modify(|count| *count += 1);
                tokio::spawn(accepting.clone().speak(socket, tls.clone()));
            }
        });
        server
    }

    async fn speak(self, socket: TcpStream, tls: Option<TlsAcceptor>) {
        let service = service_fn(move |request| self.clone().serve(request));
        let http = hyper::server::conn::http1::Builder::new();
        // Whoever breaks off has seen why.
        match tls {
            None => drop(http.serve_connection(TokioIo::new(socket), service).await),
            Some(tls) => {
                if let Ok(socket) = tls.accept(socket).await {
                    drop(http.serve_connection(TokioIo::new(socket), service).await);
                }
            }
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        match self.scheme {
            "https" => format!("https://localhost:{}{path}", self.address.port()),
            _ => format!("http://{}{path}", self.address),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn on(&self, path: &str, does: Does) {
        self.script.lock().expect("no panic").insert(path.to_owned(), does);
    }

    /// Everything that arrived at a path.
    pub(crate) fn hits(&self, path: &str) -> Vec<Hit> {
        self.hits.borrow().iter().filter(|hit| hit.path == path).cloned().collect()
    }

    /// Everything that arrived, at whatever path.
    pub(crate) fn all_hits(&self) -> Vec<Hit> {
        self.hits.borrow().clone()
    }

    /// Waits until so many requests have arrived at a path.
    pub(crate) async fn arrived(&self, path: &str, count: usize) {
        let enough = |hits: &Vec<Hit>| hits.iter().filter(|hit| hit.path == path).count() >= count;
        self.hits.subscribe().wait_for(enough).await.expect("the server lives");
    }

    /// Connections that were opened.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits until the senders of so many requests have gone away without an answer.
    pub(crate) async fn cut_off(&self, count: usize) {
        self.ended.subscribe().wait_for(|(_, gone)| *gone >= count).await.expect("the server lives");
    }

    async fn serve(self, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let path = parts.uri.path().to_owned();
        let does = self.next(&path);
        let hit = Hit {
            path,
            query: parts.uri.query().unwrap_or_default().to_owned(),
            method: parts.method.to_string(),
            headers: parts.headers,
            body,
        };
        let mut under_way = UnderWay { ended: Arc::clone(&self.ended), answered: false };
        self.hits.send_modify(|hits| hits.push(hit));
        let answer = act(does).await;
        under_way.answered = true;
        answer
    }

    fn next(&self, path: &str) -> Does {
        let mut script = self.script.lock().expect("no panic");
        let does = script.get(path).cloned().unwrap_or(Does::Answer(404, serde_json::json!({"error": "no such path"})));
        match does {
            Does::First(now, then) => {
                script.insert(path.to_owned(), *then);
                *now
            }
            does => does,
        }
    }
}

async fn act(does: Does) -> Result<Answer, std::io::Error> {
    match does {
        Does::Answer(status, value) => Ok(whole(status, "application/json", value.to_string().into())),
        Does::Later(status, seconds) => {
            let mut answer = whole(status, "application/json", Bytes::from_static(b"{}"));
            answer.headers_mut().insert("retry-after", seconds.into());
            Ok(answer)
        }
        Does::Typed(content_type, bytes) => Ok(whole(200, content_type, Bytes::from_static(bytes))),
        Does::Chunks(total) => Ok(chunks(total, None)),
        Does::BreakAfterHead => Ok(chunks(1, Some(std::io::ErrorKind::ConnectionReset.into()))),
        Does::Break => Err(std::io::ErrorKind::ConnectionReset.into()),
        Does::Redirect(to) => Ok(redirect(&to)),
        Does::Hang => std::future::pending().await,
        Does::Gate(gate, value) => {
            gate.acquire().await.expect("the gate is never closed").forget();
            Ok(whole(200, "application/json", value.to_string().into()))
        }
        Does::First(..) => unreachable!("the script unfolds it"),
    }
}

fn whole(status: u16, content_type: &str, bytes: Bytes) -> Answer {
    let body = Full::new(bytes).map_err(|never: Infallible| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    answer.headers_mut().insert("content-type", content_type.parse().expect("a header"));
    if status / 100 == 3 {
        answer.headers_mut().insert("location", "/elsewhere".parse().expect("a header"));
    }
    answer
}

fn redirect(to: &str) -> Answer {
    let mut answer = whole(307, "text/plain", Bytes::new());
    answer.headers_mut().insert("location", to.parse().expect("a header"));
    answer
}

fn chunks(total: usize, then: Option<std::io::Error>) -> Answer {
    let piece = Bytes::from_static(&[b' '; 1024]);
    let pieces = (0..total.div_ceil(1024)).map(move |_| Ok(Frame::data(piece.clone())));
    let body = StreamBody::new(stream::iter(pieces.chain(then.map(Err))));
    Response::new(body.boxed())
}
