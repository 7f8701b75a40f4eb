//! One request, of whose answer no more is read than is taken.

use std::collections::HashMap;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Error as WebError, Response, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, JsonRpcError, JsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{HttpStatusError, StreamableHttpError, StreamableHttpPostResponse};

use super::events;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const SESSION: &str = "mcp-session-id";

/// Of what a server says with its refusal.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// Where a request goes, and what goes with it.
#[derive(Debug)]
pub(super) struct Post<'a> {
    pub(super) client: &'a Client,
    pub(super) uri: &'a str,
    pub(super) session: Option<&'a str>,
    pub(super) auth: Option<&'a str>,
    pub(super) headers: &'a HashMap<HeaderName, HeaderValue>,
    pub(super) bytes_max: usize,
}

/// What came back.
pub(super) enum Answer {
    /// Success.
    Taken(Box<StreamableHttpPostResponse>),
    /// An error of JSON-RPC under another status than success.
    Error(StatusCode, JsonRpcError),
    /// Another status than success alone.
    Refused(HttpStatusError),
}

type Failure = StreamableHttpError<WebError>;

impl Post<'_> {
    pub(super) async fn send(&self, message: &ClientJsonRpcMessage) -> Result<Answer, Failure> {
        let mut request = self.client.post(self.uri).header(ACCEPT, format!("{EVENTS}, {JSON}"));
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(auth) = self.auth {
            request = request.bearer_auth(auth);
        }
        if let Some(session) = self.session {
            request = request.header(SESSION, session);
        }
        let response = request.json(message).send().await.map_err(failed)?;
        match response.status() {
            StatusCode::NOT_FOUND if self.session.is_some() => Err(StreamableHttpError::SessionExpired),
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT => {
                Ok(Answer::Taken(StreamableHttpPostResponse::Accepted.into()))
            }
            status if status.is_success() => Ok(Answer::Taken(self.taken(message, response).await?.into())),
            _ => Ok(refused(response).await),
        }
    }

    async fn taken(
        &self,
        message: &ClientJsonRpcMessage,
        response: Response,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        if is(EVENTS, &response) {
            let id = match message {
                ClientJsonRpcMessage::Request(request) => Some(request.id.clone()),
                _ => None,
            };
            return Ok(StreamableHttpPostResponse::Sse(events::read(response, id, self.bytes_max), None));
        }
        if !is(JSON, &response) {
            return Err(StreamableHttpError::UnexpectedContentType(None));
        }
        let body = body(response, self.bytes_max).await?;
        match serde_json::from_slice::<ServerJsonRpcMessage>(&body) {
            Ok(message) => Ok(StreamableHttpPostResponse::Json(message, None)),
            Err(_) => Err(StreamableHttpError::UnexpectedServerResponse("it is not JSON-RPC".into())),
        }
    }
}

async fn refused(response: Response) -> Answer {
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // What stands before the server says these, whatever the body is.
    let by_gate = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
    if is(JSON, &response)
        && !by_gate.contains(&status)
        && let Ok(body) = body(response, ERROR_BYTES_MAX).await
        && let Ok(JsonRpcMessage::Error(error)) = serde_json::from_slice::<ServerJsonRpcMessage>(&body)
    {
        return Answer::Error(status, error);
    }
    Answer::Refused(HttpStatusError::new(status.as_u16(), wait))
}

fn is(content_type: &str, response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(content_type.as_bytes()))
}

async fn body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if chunk.len() > bytes_max - body.len() {
            return Err(StreamableHttpError::ResponseBodyTooLarge { max_size: bytes_max });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn failed(error: WebError) -> Failure {
    StreamableHttpError::Client(error.without_url())
}
