//! Clients against real listeners. Whatever is not allowed must not so much as connect.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolving};
use reqwest::header::HeaderName;
use reqwest::{Method, Request, Response, Url};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;

/// A server that gives each connection the same answer, and counts them.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    connections: Arc<watch::Sender<usize>>,
}

impl Server {
    async fn start(at: &str, answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::by_path(at, move |path| if path == "/end" { OK.to_owned() } else { answer.clone() }).await
    }

    async fn by_path(at: &str, answer: impl Fn(&str) -> String + Clone + Send + 'static) -> Self {
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

    fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";

fn moved(to: &str) -> String {
    format!("HTTP/1.1 307 Moved\r\nconnection: close\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

/// A resolver that gives each name its answers in turn, and the last for ever.
#[derive(Default)]
struct Names(Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>);

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

fn names(name: &str, turns: &[&[&str]]) -> Arc<Names> {
    let addresses = |turn: &&[&str]| turn.iter().map(|address| address.parse().expect("an address")).collect();
    Arc::new(Names(Mutex::new([(name.to_owned(), turns.iter().map(addresses).collect())].into())))
}

/// Egress that may reach 127.0.0.2 besides the internet: it stands for what is allowed, 127.0.0.1 for what is not.
fn egress() -> Egress {
    let settings = Settings { allow_private: vec!["127.0.0.2".into()], ..Settings::default() };
    Egress::new(&settings).expect("it holds")
}

fn client(egress: &Egress, url: &str, redirects: u32) -> Client {
    let settings = ClientSettings {
        name: "t",
        url,
        allow_private: false,
        redirects,
        connect_timeout: Duration::from_secs(1),
        pool_idle_max: 0,
        authorities: Vec::new(),
    };
    egress.client(settings).expect(url)
}

async fn get(client: &Client, url: &str) -> Result<Response, Failed> {
    client.execute(Request::new(Method::GET, Url::parse(url).expect(url))).await
}

async fn refusal(client: &Client, url: &str) -> Refusal {
    match get(client, url).await {
        Err(Failed::Refused(refusal)) => refusal,
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn a_name_is_resolved_and_checked_for_each_connection_so_that_it_cannot_change_its_mind_in_between() {
    let allowed = Server::start("127.0.0.2:0", OK).await;
    let port = allowed.address.port();
    let canary = Server::start(&format!("127.0.0.1:{port}"), OK).await;
    let url = format!("http://tool.example:{port}/");
    let names = names("tool.example", &[&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.2"], &["127.0.0.1"]]);
    let client = client(&egress().with_names(names), &url, 0);

    for turn in 1..=2 {
        assert_eq!(get(&client, &url).await.expect("it is allowed").status(), 200);
        assert_eq!(allowed.connections(), turn);
        let refused = refusal(&client, &url).await;
        assert!(matches!(refused, Refusal::Address { kind: address::Kind::Loopback, .. }), "{refused}");
    }
    assert_eq!((allowed.connections(), canary.connections()), (2, 0));
}

#[tokio::test]
async fn one_forbidden_address_among_others_forbids_the_name() {
    let allowed = Server::start("127.0.0.2:0", OK).await;
    let port = allowed.address.port();
    let canary = Server::start(&format!("127.0.0.1:{port}"), OK).await;
    let url = format!("http://tool.example:{port}/");
    for mixed in [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "::ffff:127.0.0.1"]] {
        let client = client(&egress().with_names(names("tool.example", &[&mixed])), &url, 0);
        refusal(&client, &url).await;
    }
    assert_eq!((allowed.connections(), canary.connections()), (0, 0));
}

/// The library that speaks MCP is given the bare client, and makes requests of its own.
#[tokio::test]
async fn a_bare_client_cannot_be_brought_to_reach_anything_else() {
    let allowed = Server::start("127.0.0.2:0", OK).await;
    let canary = Server::start("0.0.0.0:0", OK).await;
    let port = canary.address.port();
    let names = names("localhost", &[&["127.0.0.2"]]);
    let egress = egress().with_names(names);
    let client = client(&egress, &allowed.url(), 0);
    let elsewhere = [
        format!("http://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://refused.invalid:{port}/"),
        // The right address, another port or scheme.
        format!("http://127.0.0.2:{port}/"),
        format!("https://127.0.0.2:{}/", allowed.address.port()),
    ];
    for url in &elsewhere {
        let error = client.http().get(url).send().await.expect_err(url);
        assert!(error.is_connect() && Refusal::behind(&error).is_some(), "{url}: {error:?}");
        assert!(matches!(refusal(&client, url).await, Refusal::Elsewhere(_)), "{url}");
    }
    assert_eq!((allowed.connections(), canary.connections()), (0, 0));
    assert_eq!(client.http().get(allowed.url()).send().await.expect("its own").status(), 200);
}

#[tokio::test]
async fn a_redirect_is_followed_to_the_same_scheme_host_and_port_so_often_and_no_oftener() {
    let server = Server::start("127.0.0.2:0", moved("/end")).await;
    let patient = client(&egress(), &server.url(), 1);
    assert_eq!(get(&patient, &server.url()).await.expect("it is followed").status(), 200);
    assert_eq!(server.connections(), 2);
    let stubborn = client(&egress(), &server.url(), 0);
    assert_eq!(get(&stubborn, &server.url()).await.expect("it is not followed").status(), 307);
    assert_eq!(server.connections(), 3);

    let round = Server::start("127.0.0.2:0", moved("/round")).await;
    let client = client(&egress(), &round.url(), 3);
    assert_eq!(get(&client, &round.url()).await.expect("it goes round").status(), 307);
    assert_eq!(round.connections(), 4);
}

#[tokio::test]
async fn a_redirect_elsewhere_is_not_followed_however_it_is_written() {
    let canary = Server::start("0.0.0.0:0", OK).await;
    let port = canary.address.port();
    let places = [
        format!("http://127.0.0.1:{port}/"),
        format!("//127.0.0.1:{port}/"),
        format!("\\\\127.0.0.1:{port}/"),
        format!("/\\127.0.0.1:{port}/"),
        format!("http:\\\\127.0.0.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://0177.0.0.1:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://127.0.0.1.:{port}/"),
        format!("http://0:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[::ffff:7f00:1]:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://tool.example@127.0.0.1:{port}/"),
        format!("http://127.0.0.2:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://u:p@127.0.0.2/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1:1/".to_owned(),
        "http://[::1%25lo]/".to_owned(),
    ];
    for place in &places {
        let server = Server::start("127.0.0.2:0", moved(place)).await;
        let client = client(&egress(), &server.url(), 5);
        let refused = refusal(&client, &server.url()).await;
        assert!(refused.is_redirected(), "{place}: {refused}");
        assert_eq!(server.connections(), 1, "{place}");
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn a_chain_of_redirects_is_checked_at_each_link() {
    let canary = Server::start("127.0.0.1:0", OK).await;
    let away = canary.url();
    let chain = move |path: &str| match path {
        "/" => moved("/a"),
        "/a" => moved("b?c"),
        _ => moved(&away),
    };
    let server = Server::by_path("127.0.0.2:0", chain).await;
    let client = client(&egress(), &server.url(), 5);
    let refused = refusal(&client, &server.url()).await;
    assert_eq!(refused, Refusal::Redirected(canary.url().trim_end_matches('/').to_owned()));
    assert_eq!((server.connections(), canary.connections()), (3, 0));
}

#[test]
fn no_header_of_the_connection_can_be_configured() {
    for name in ["host", "content-length", "transfer-encoding", "connection", "proxy-authorization", "te", "upgrade"] {
        assert!(is_reserved(&HeaderName::from_static(name)), "{name}");
    }
    for name in ["authorization", "x-host", "accept", "cookie", "forwarded"] {
        assert!(!is_reserved(&HeaderName::from_static(name)), "{name}");
    }
}

/// What would go around all of this, were it anywhere else.
#[test]
fn no_other_place_opens_connections_of_its_own() {
    const OURS: [&str; 2] = ["egress.rs", "egress"];
    const FORBIDDEN: [&str; 8] = [
        "Client::builder(",
        "reqwest::Client::new(",
        " Client::new(",
        "ClientBuilder",
        "reqwest::get(",
        "danger_accept",
        "TcpStream::connect",
        "lookup_host",
    ];
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be read") {
            let path = entry.expect("it can be read").path();
            if OURS.iter().any(|ours| path.ends_with(format!("src/{ours}"))) {
                continue;
            } else if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("it is text");
            // Tests stand at the end of a file, or in one of their own.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in FORBIDDEN.iter().filter(|_| !path.ends_with("tests.rs")) {
                assert!(!code.contains(word), "{} has {word:?}: clients come from egress", path.display());
            }
        }
    }
}
