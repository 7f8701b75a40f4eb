//! Clients against real listeners. Whatever is not allowed must not so much as connect.

mod alone;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderName;
use reqwest::{Method, Request, Response, Url};

use self::stage::{OK, Server, moved, moved_by, names};
use super::*;

/// Egress that may reach 127.0.0.2 besides the internet: it stands for what is allowed, 127.0.0.1 for what is not.
fn egress() -> Egress {
    let settings = Settings { allow_private: vec!["127.0.0.2".into()], ..Settings::default() };
    Egress::new(&settings).expect("it holds")
}

fn settings(url: &str, redirects: u32) -> ClientSettings<'_> {
    ClientSettings {
        name: "t",
        url,
        allow_private: false,
        redirects,
        connect_timeout: Duration::from_secs(1),
        pool_idle_max: 0,
        authorities: Vec::new(),
    }
}

fn client(egress: &Egress, url: &str, redirects: u32) -> Client {
    egress.client(settings(url, redirects)).expect(url)
}

/// What a library is given.
fn locked(egress: &Egress, url: &str) -> reqwest::Client {
    egress.locked(settings(url, 0)).expect(url)
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
    let (client, locked) = (client(&egress, &allowed.url(), 0), locked(&egress, &allowed.url()));
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
        let error = locked.get(url).send().await.expect_err(url);
        assert!(error.is_connect() && Refusal::behind(&error).is_some(), "{url}: {error:?}");
        let place = Url::parse(url).expect(url).origin().ascii_serialization();
        assert_eq!(refusal(&client, url).await, Refusal::Elsewhere(place), "{url}");
    }
    let as_somebody = allowed.url().replace("//", "//user:password@");
    assert!(matches!(refusal(&client, &as_somebody).await, Refusal::Elsewhere(_)));
    assert_eq!((allowed.connections(), canary.connections()), (0, 0));
    assert_eq!(locked.get(allowed.url()).send().await.expect("its own").status(), 200);
}

#[tokio::test]
async fn behind_tls_the_same_holds_and_nothing_is_sent_without() {
    let canary = Server::start("0.0.0.0:0", OK).await;
    let port = canary.address.port();
    let home = format!("https://tool.example:{port}/");
    let egress = egress().with_names(names("tool.example", &[&["127.0.0.1"]]));
    let (client, locked) = (client(&egress, &home, 0), locked(&egress, &home));
    assert!(matches!(refusal(&client, &home).await, Refusal::Address { .. }));
    for url in [format!("http://tool.example:{port}/"), format!("https://127.0.0.1:{port}/")] {
        locked.get(&url).send().await.expect_err(&url);
        assert!(matches!(refusal(&client, &url).await, Refusal::Elsewhere(_)), "{url}");
    }
    assert_eq!(canary.connections(), 0);
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
async fn a_request_that_a_redirect_would_change_is_not_sent_again() {
    for status in [301, 302, 303] {
        let server = Server::start("127.0.0.2:0", moved_by(status, "/end")).await;
        let client = client(&egress(), &server.url(), 1);
        let post = Request::new(Method::POST, Url::parse(&server.url()).expect("a URL"));
        assert_eq!(client.execute(post).await.expect("it is not followed").status(), status);
        assert_eq!(server.connections(), 1, "{status}");
        assert_eq!(get(&client, &server.url()).await.expect("it is followed").status(), 200);
    }
}

#[tokio::test]
async fn the_port_is_the_urls_whatever_a_resolver_answers() {
    let guard = egress().guard("t", "http://tool.example/", false).expect("a name");
    let resolver = names::Names { guard: Arc::new(guard), asked: names("tool.example", &[&["127.0.0.2"]]) };
    let found = resolver.resolve("tool.example".parse().expect("a name")).await.expect("it is allowed");
    assert_eq!(found.map(|address| address.port()).collect::<Vec<_>>(), [0], "which stands for the URL's");
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
