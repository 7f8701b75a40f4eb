//! The HTTP client of one provider: connections that are used again, each with little memory of its own.

use std::{error::Error, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri,
    header::{ACCEPT, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION, USER_AGENT},
};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use url::Position;

use super::{
    Settings, address,
    body::{Sender, WatchedBody, Withheld},
    connect::Connector,
};
use crate::provider::Failure;

/// What a connection reads at once, and what the head of a response may be at most. Without a bound a connection whose
/// reader is slow comes to hold half a megabyte, and there are thousands of them; other clients take no longer heads either.
const READ_MAX: usize = 16 << 10;
/// Shorter than providers keep theirs: a request must not meet a connection that is just being closed.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Who is calling.
pub(super) const AGENT: HeaderValue = HeaderValue::from_static(concat!("holdfast/", env!("CARGO_PKG_VERSION")));

/// A client for one provider. It connects when it is first used, and follows no redirects: a key is for one server only.
#[derive(Debug)]
pub(super) struct Client {
    http: legacy::Client<Connector, WatchedBody>,
    connector: Connector,
    /// Which go with every request.
    headers: HeaderMap,
}

impl Client {
    /// # Errors
    /// As [`Connector::new`], or there is no host in the address.
    pub(super) fn new(mut headers: HeaderMap, settings: &Settings, direct: bool) -> Result<Self, String> {
        headers.insert(HOST, host(settings)?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, AGENT);
        let connector = Connector::new(settings, direct)?;
        let http = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .http1_max_buf_size(READ_MAX)
            .set_host(false)
            .build(connector.clone());
        Ok(Self { http, connector, headers })
    }

    /// What goes with every request.
    pub(super) fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// Sends a request, whose headers begin as [these](Self::headers), where its sender still wants it once there is a
    /// connection, and waits for the head of the response. What a connection did not take, because it was just being closed,
    /// goes to another one.
    pub(super) async fn post(
        &self,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
        sender: impl Sender + 'static,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(WatchedBody::new(body, Box::new(sender)));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        if let Some(credential) = self.connector.shown_with(&uri) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credential);
        }
        *request.uri_mut() = uri;
        self.http.request(request).await.map_err(|error| {
            let unreached = error.is_connect();
            let error: &(dyn Error + 'static) = &error;
            tracing::debug!(error, "a provider did not answer");
            if is_withheld(error) {
                return Failure::Withheld;
            }
            if unreached { Failure::Unreachable } else { Failure::Broken { how: "broke the connection" } }
        })
    }
}

/// How the provider's server is named in each request: all its addresses are there.
fn host(settings: &Settings) -> Result<HeaderValue, String> {
    let url = address(settings)?;
    let host = &url[Position::BeforeHost..Position::AfterPort];
    host.parse().map_err(|_| format!("is no address of a server: {host:?}"))
}

/// Whether it was its sender who did not let a request leave.
fn is_withheld(error: &(dyn Error + 'static)) -> bool {
    error.is::<Withheld>() || error.source().is_some_and(is_withheld)
}

/// The next piece of a body.
pub(super) async fn piece<B>(body: &mut B) -> Result<Option<Bytes>, Failure>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    loop {
        match body.frame().await.transpose() {
            Ok(Some(frame)) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
            Ok(None) => return Ok(None),
            Err(error) => {
                tracing::debug!(%error, "a provider broke off");
                return Err(Failure::Broken { how: "broke off" });
            }
        }
    }
}

/// A whole body, up to so many bytes. Most come in one piece, which is not copied.
pub(super) async fn read(mut from: Incoming, bytes_max: usize) -> Result<Bytes, Failure> {
    let (mut first, mut body) = (Bytes::new(), BytesMut::new());
    loop {
        match piece(&mut from).await? {
            Some(piece) if first.len() + body.len() + piece.len() > bytes_max => {
                return Err(Failure::Broken { how: "sent more than an answer may be" });
            }
            Some(piece) if first.is_empty() && body.is_empty() => first = piece,
            Some(piece) => {
                body.extend_from_slice(&std::mem::take(&mut first));
                body.extend_from_slice(&piece);
            }
            None if body.is_empty() => return Ok(first),
            None => return Ok(body.freeze()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::Ordering};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinHandle,
    };

    use super::*;
    use crate::provider::http::body::tests::Door;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_server_is_named_as_its_address_has_it() {
        for (base_url, named) in [
            ("https://api.openai.com/v1", "api.openai.com"),
            ("https://api.example:443/v1", "api.example"),
            ("http://api.example:80", "api.example"),
            ("http://api.example:443/v1", "api.example:443"),
            ("http://[::1]:8000/v1", "[::1]:8000"),
            ("https://user:secret@API.Example/v1", "api.example"),
            ("https://bücher.example:8443/", "xn--bcher-kva.example:8443"),
        ] {
            assert_eq!(host(&settings(base_url)).expect("it has one"), named, "{base_url}");
        }
    }

    /// A server that reads a request's head and answers with this; what it had read when the connection ended.
    async fn server(answer: String) -> (Uri, JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("it is bound"));
        let reading = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("somebody comes");
            let mut read = Vec::new();
            while !read.ends_with(b"{}") && stream.read_buf(&mut read).await.expect("it reads") > 0 {}
            let _ = stream.write_all(answer.as_bytes()).await;
            read
        });
        (url.parse().expect("a URI"), reading)
    }

    fn settings(base_url: &str) -> Settings {
        Settings {
            base_url: base_url.to_owned(),
            authority: None,
            simulated: true,
            connect_timeout: 10 * SECOND,
            timeout: 10 * SECOND,
            idle_timeout: 10 * SECOND,
            answer_bytes_max: 1_000,
            trace: None,
        }
    }

    async fn post(uri: &Uri, door: &Arc<Door>) -> Result<Response<Incoming>, Failure> {
        let client = Client::new(HeaderMap::new(), &settings(&uri.to_string()), true).expect("it can be used");
        client.post(uri.clone(), client.headers(), Bytes::from_static(b"{}"), Arc::clone(door)).await
    }

    #[tokio::test]
    async fn a_request_names_its_server_and_its_sender_once() {
        let (uri, reading) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
        post(&uri, &Arc::new(Door::default())).await.expect("an answer");
        let read = String::from_utf8(reading.await.expect("it ends")).expect("text");
        let named = format!("\r\nhost: {}\r\n", uri.authority().expect("it has one"));
        assert_eq!((read.matches(&named).count(), read.matches("\r\nuser-agent: holdfast/").count()), (1, 1), "{read}");
    }

    #[tokio::test]
    async fn nothing_leaves_of_a_call_whose_place_is_gone_once_it_is_connected() {
        let (uri, reading) = server(String::new()).await;
        let door = Arc::new(Door::default());
        door.closed.store(true, Ordering::Relaxed);
        assert_eq!(post(&uri, &door).await.err(), Some(Failure::Withheld));
        assert_eq!(reading.await.expect("it ends"), b"");
        assert_eq!(door.sent.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn the_head_of_a_response_has_a_bound_and_so_has_what_a_connection_holds() {
        for (bytes, taken) in [(READ_MAX / 2, true), (READ_MAX + 1, false)] {
            let long = "x".repeat(bytes);
            let (uri, reading) = server(format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nlong: {long}\r\n\r\n")).await;
            let answer = post(&uri, &Arc::new(Door::default())).await;
            assert_eq!(answer.is_ok(), taken, "{bytes} bytes: {answer:?}");
            reading.await.expect("it ends");
        }
    }
}
