//! HTTP as rmcp wants it spoken, which understands more servers: some say with an error of theirs, not with 404, that they do
//! not know the session.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::BoxStream;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Error as WebError, StatusCode};
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ErrorData, JsonRpcMessage, PingRequest, RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::Sse;

use super::post::{Answer, Post};
use crate::upstream::mcp::session::Bell;

pub(super) type Posted = Result<StreamableHttpPostResponse, StreamableHttpError<WebError>>;
type Stream = Result<BoxStream<'static, Result<Sse, SseError>>, StreamableHttpError<WebError>>;
type Headers = HashMap<HeaderName, HeaderValue>;

/// Calls are sent by ourselves, for the status of an answer says what became of the call; the rest rmcp's own client sends.
/// A URL may hold a secret, and an answer repeat one, so no error keeps them.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pub(super) client: Client,
    pub(super) bell: Bell,
    /// Of what a call is answered with.
    pub(super) bytes_max: usize,
}

impl Asking {
    /// Sends a call. Whether it was looked at, an unknown session decides, and that only a status of refusal can show: the
    /// same words under another one may be the tool's own, after it has acted.
    async fn call(&self, post: Post<'_>, call: &ClientJsonRpcMessage) -> Posted {
        let has_session = post.session.is_some();
        let (status, posted) = match post.send(call).await? {
            Answer::Taken(response) => return Ok(*response),
            Answer::Refused(error) => (error.status, Err(error.into())),
            Answer::Error(status, error) => {
                let may_mean_session = has_session && status.is_client_error() && speaks_of_sessions(&error.error);
                if may_mean_session && self.refuses(&post, &error.error).await {
                    return Err(StreamableHttpError::SessionExpired);
                }
                (status.as_u16(), Ok(StreamableHttpPostResponse::Json(JsonRpcMessage::Error(error), None)))
            }
        };
        if has_session && status == StatusCode::BAD_REQUEST.as_u16() {
            // Another way to deny a session, perhaps: it is listed over anew, and replaced where that fails.
            self.bell.changed.notify_one();
        }
        posted
    }

    /// Whether something harmless on the same session is refused with the same error.
    async fn refuses(&self, post: &Post<'_>, with: &ErrorData) -> bool {
        let ping = PingRequest { method: Default::default(), extensions: Default::default() };
        let ping = ClientRequest::PingRequest(ping);
        let ping = ClientJsonRpcMessage::request(ping, RequestId::String("session?".into()));
        matches!(post.send(&ping).await, Ok(Answer::Error(status, same)) if status.is_client_error() && same.error == *with)
    }
}

/// Whether an error may mean that the session is unknown.
fn speaks_of_sessions(error: &ErrorData) -> bool {
    error.message.to_ascii_lowercase().contains("session")
}

/// Without the URL, and without the server's own words, which may repeat what it was shown, keys included: rmcp puts its
/// errors into the log.
fn plain(error: StreamableHttpError<WebError>) -> StreamableHttpError<WebError> {
    match error {
        StreamableHttpError::Client(error) => StreamableHttpError::Client(error.without_url()),
        StreamableHttpError::UnexpectedServerResponse(Cow::Owned(said)) => {
            let status = said.split(':').next().filter(|status| status.starts_with("HTTP "));
            let plain = status.unwrap_or("not what the protocol wants").to_owned();
            StreamableHttpError::UnexpectedServerResponse(plain.into())
        }
        error => error,
    }
}

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
        self.client.post_message(uri, message, session, auth, headers).await.map_err(plain)
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
        let (id, is_call) = match &message {
            ClientJsonRpcMessage::Request(request) => {
                (Some(request.id.clone()), matches!(request.request, ClientRequest::CallToolRequest(_)))
            }
            _ => (None, false),
        };
        let mut posted = if is_call {
            let bytes_max = self.bytes_max;
            let (client, session, auth) = (&self.client, session.as_deref(), auth.as_deref());
            self.call(Post { client, uri: &uri, session, auth, headers: &headers, bytes_max }, &message).await
        } else {
            let client = &self.client;
            client.post_message_with_max_sse_event_size(uri, message, session, auth, headers, bytes_max).await
        };
        match &mut posted {
            Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Error(error), _)) => {
                // Whoever waits is found by the id, which a server that could not read the request leaves out.
                if let Some(id) = id {
                    error.id.get_or_insert(id);
                }
            }
            Err(StreamableHttpError::SessionExpired) => self.bell.lost.cancel(),
            _ => {}
        }
        posted.map_err(plain)
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<(), StreamableHttpError<WebError>> {
        self.client.delete_session(uri, session, auth, headers).await.map_err(plain)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        auth: Option<String>,
        headers: Headers,
    ) -> Stream {
        self.client.get_stream(uri, session, last, auth, headers).await.map_err(plain)
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
        let client = &self.client;
        client.get_stream_with_max_sse_event_size(uri, session, last, auth, headers, bytes_max).await.map_err(plain)
    }
}
