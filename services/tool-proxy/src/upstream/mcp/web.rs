//! A server behind a URL: streamable HTTP, on the one client that goes only where it may.

mod asking;
mod events;
mod post;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use reqwest::header::{ACCEPT, HeaderName, HeaderValue};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::SseRetryPolicy;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

use self::asking::Asking;
use super::session::{Bell, Greeting, Session};
use super::{PAGE_BYTES_MAX, Unmet, message_bytes_max};
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
    client: Client,
    url: Arc<str>,
    headers: HashMap<HeaderName, HeaderValue>,
    answer_bytes_max: usize,
}

impl Web {
    /// The way to a server whose tools may answer with so many bytes; an error names the key and why.
    pub(crate) fn new(server: &Tool, answer_bytes_max: usize, client: Client) -> Result<Self, (String, String)> {
        let mut headers = super::super::headers(server)?;
        headers.remove(ACCEPT);
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Self { client, url: server.url.as_str().into(), headers, answer_bytes_max })
    }

    pub(super) async fn connect(&self, greeting: Greeting) -> Result<Session, Unmet> {
        let bytes_max = message_bytes_max(self.answer_bytes_max);
        let mut config = StreamableHttpClientTransportConfig::with_uri(Arc::clone(&self.url))
            .custom_headers(self.headers.clone())
            .max_concurrent_requests(REQUESTS_MAX)
            .control_request_timeout(COURTESY)
            .max_sse_event_size(bytes_max.max(PAGE_BYTES_MAX))
            // It would send the calls again by itself: whether one may still be sent, only whoever makes it can say.
            .reinit_on_expired_session(false);
        config.retry_config = Arc::new(Resuming);
        let bell = Bell::default();
        let asking = Asking { client: self.client.clone(), bell: bell.clone(), bytes_max };
        let transport = StreamableHttpClientTransport::with_client(asking, config);
        Session::open(transport, greeting, bell).await.map_err(|error| super::answer::unmet(&error))
    }
}

#[derive(Debug)]
struct Resuming;

impl SseRetryPolicy for Resuming {
    fn retry(&self, times: usize) -> Option<Duration> {
        (times < RESUMES_MAX).then(|| RESUME * 2_u32.pow(u32::try_from(times).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests;
