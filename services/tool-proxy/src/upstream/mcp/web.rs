//! A server behind a URL: streamable HTTP, on the one client that goes only where it may.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use reqwest::header::{ACCEPT, HeaderName, HeaderValue};
use reqwest::{Client, Error as WebError};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, PingRequest, RequestId, ServerJsonRpcMessage};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::SseRetryPolicy;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::Sse;

use super::Unmet;
use super::session::{Greeting, Session};
use crate::config::Tool;

/// How often a broken stream of an answer is taken up again before its call counts as broken.
const RESUMES_MAX: usize = 3;
const RESUME: Duration = Duration::from_millis(100);

/// A cancellation is a courtesy: it must not hold up the next one.
const COURTESY: Duration = Duration::from_secs(2);

/// The places of the tools bound what is under way; the transport's own queue must not.
const REQUESTS_MAX: usize = 1 << 16;

/// Where a server listens, and what it is told with each request.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    client: Asking,
    url: Arc<str>,
    headers: HashMap<HeaderName, HeaderValue>,
}

impl Web {
    /// The way to a server; an error names the key and why.
    pub(crate) fn new(server: &Tool, client: Client) -> Result<Self, (String, String)> {
        let mut headers = super::super::headers(server)?;
        headers.remove(ACCEPT);
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Self { client: Asking(client), url: server.url.as_str().into(), headers })
    }

    pub(super) async fn connect(&self, greeting: Greeting) -> Result<Session, Unmet> {
        let mut config = StreamableHttpClientTransportConfig::with_uri(Arc::clone(&self.url))
            .custom_headers(self.headers.clone())
            .max_concurrent_requests(REQUESTS_MAX)
            .control_request_timeout(COURTESY);
        config.retry_config = Arc::new(Resuming);
        let transport = StreamableHttpClientTransport::with_client(self.client.clone(), config);
        Session::open(transport, greeting).await.map_err(|error| super::answer::unmet(&error))
    }
}

#[derive(Debug)]
struct Resuming;

impl SseRetryPolicy for Resuming {
    fn retry(&self, times: usize) -> Option<Duration> {
        (times < RESUMES_MAX).then(|| RESUME * 2_u32.pow(u32::try_from(times).unwrap_or_default()))
    }
}

/// Speaks HTTP for rmcp as reqwest does, and understands more servers: some say with an error of theirs, not with 404,
/// that they do not know the session.
#[derive(Debug, Clone)]
struct Asking(Client);

type Posted = Result<StreamableHttpPostResponse, StreamableHttpError<WebError>>;
type Stream = Result<BoxStream<'static, Result<Sse, SseError>>, StreamableHttpError<WebError>>;
type Headers = HashMap<HeaderName, HeaderValue>;

impl StreamableHttpClient for Asking {
    type Error = WebError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: Headers,
    ) -> Posted {
        self.0.post_message(uri, message, session, auth, headers).await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: Headers,
        bytes_max: usize,
    ) -> Posted {
        let ClientJsonRpcMessage::Request(request) = &message else {
            return self.0.post_message_with_max_sse_event_size(uri, message, session, auth, headers, bytes_max).await;
        };
        let id = request.id.clone();
        let ask = |message| {
            let (uri, session, headers) = (Arc::clone(&uri), session.clone(), headers.clone());
            self.0.post_message_with_max_sse_event_size(uri, message, session, auth.clone(), headers, bytes_max)
        };
        match ask(message).await {
            Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Error(mut error), of)) => {
                if session.is_some() && speaks_of_sessions(&error.error) {
                    let again = ask(ping()).await;
                    if matches!(again, Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Error(same), _)) if same.error == error.error)
                    {
                        return Err(StreamableHttpError::SessionExpired);
                    }
                }
                // Whoever waits is found by the id, which a server that could not read the request leaves out.
                error.id.get_or_insert(id);
                Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Error(error), of))
            }
            response => response,
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<(), StreamableHttpError<WebError>> {
        self.0.delete_session(uri, session, auth, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        auth: Option<String>,
        headers: Headers,
    ) -> Stream {
        self.0.get_stream(uri, session, last, auth, headers).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        auth: Option<String>,
        headers: Headers,
        bytes_max: usize,
    ) -> Stream {
        self.0.get_stream_with_max_sse_event_size(uri, session, last, auth, headers, bytes_max).await
    }
}

/// Whether an error may mean that the session is unknown. That alone proves nothing: a tool has words of its own. Only a
/// server that refuses something harmless on the same session in the same words has surely not looked at the call.
fn speaks_of_sessions(error: &ErrorData) -> bool {
    error.message.to_ascii_lowercase().contains("session")
}

fn ping() -> ClientJsonRpcMessage {
    let request = PingRequest { method: Default::default(), extensions: Default::default() };
    ClientJsonRpcMessage::request(ClientRequest::PingRequest(request), RequestId::String("session?".into()))
}
