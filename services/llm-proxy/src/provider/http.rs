//! Providers over HTTP: what their protocols have in common. One connection carries one call at a time (HTTP/1.1): so a
//! request that is written is at the provider, and one that is given up ends with its connection.

mod address;
mod body;
mod client;
mod connect;
mod discreet;
mod refusal;
mod stream;

use std::{pin::pin, task::Poll, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use holdfast_config::Secret;
use holdfast_rpc::trace;
use http::{HeaderMap, HeaderName, HeaderValue, Response, Uri};
use hyper::body::Incoming;
use tokio::time::Instant;

#[cfg(test)]
pub(super) use self::stream::tests::read as read_stream;
pub(super) use self::{
    address::{address, push, uri},
    refusal::judge_said,
    stream::Reader,
};
use self::{body::Sender, client::Client};
use super::{Call, Chunks, Failure, Provider};
use crate::{
    domain::{Answer, Ask, Form},
    gate::Arrival,
};

/// W3C trace context. Source: <https://www.w3.org/TR/trace-context/>
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How to reach one provider.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Its address, with the version in the path where the protocol wants one.
    pub(crate) base_url: String,
    /// A further authority (PEM) that signs the provider's certificate.
    pub(crate) authority: Option<Secret>,
    /// Whether it is the mesh's own simulator, wherever that is.
    pub(crate) simulated: bool,
    pub(crate) connect_timeout: Duration,
    /// From the request to the whole answer, or to the first event of a stream.
    pub(crate) timeout: Duration,
    /// Between two pieces of a stream.
    pub(crate) idle_timeout: Duration,
    /// The most that one answer may be.
    pub(crate) answer_bytes_max: usize,
    /// Whether it is told the trace that a call belongs to; where nothing is said, only on this machine: what passes
    /// through here is no stranger's affair.
    pub(crate) trace: Option<bool>,
}

impl Sender for Arrival {
    fn may_leave(&self) -> bool {
        Self::may_leave(self)
    }

    fn sent(&self) {
        Self::sent(self);
    }
}

/// What a model is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'c> {
    pub(crate) ask: &'c Ask,
    pub(crate) model: &'c str,
    pub(crate) max_output_tokens: Option<u32>,
    /// The answer is to come event by event.
    pub(crate) streamed: bool,
}

/// What a protocol says and understands.
pub(crate) trait Protocol: std::fmt::Debug + Send + Sync + 'static {
    type Reader: Reader;

    /// Where a model is asked.
    ///
    /// # Errors
    /// A sentence for the user: it is no address with this model in it.
    fn uri(&self, model: &str) -> Result<Uri, String>;

    /// The header that shows the key, and what stands there before it.
    fn auth(&self) -> (HeaderName, &'static str);

    /// The body of a request.
    ///
    /// # Errors
    /// The protocol has no word for what a field says.
    fn request(&self, question: Question<'_>) -> Result<Vec<u8>, Failure>;

    /// A whole answer.
    ///
    /// # Errors
    /// It is none, or says what went wrong.
    fn answer(&self, body: Bytes, form: Form) -> Result<Answer, Failure>;

    /// What reads the events of one answer.
    fn reader(&self, form: Form) -> Self::Reader;
}

/// A provider with its connections.
#[derive(Debug)]
pub(crate) struct Http<P> {
    http: Client,
    protocol: P,
    settings: Settings,
    /// Whether the provider is told of traces.
    traced: bool,
}

impl<P: Protocol> Http<P> {
    /// A client for the provider; it connects when it is first called. The headers go with every request.
    ///
    /// # Errors
    /// A sentence for the user: the authority cannot be used.
    pub(super) fn new(protocol: P, headers: HeaderMap, settings: Settings) -> Result<Self, String> {
        // The proxies that the environment names lead out of here.
        let here = settings.simulated || address::is_loopback(&settings.base_url);
        let http = Client::new(headers, &settings, here)?;
        let traced = settings.trace.unwrap_or(here);
        Ok(Self { http, protocol, settings, traced })
    }

    #[cfg(test)]
    pub(super) fn protocol(&self) -> &P {
        &self.protocol
    }

    /// Sends the request and reads the response's head. A refusal says that the request arrived; with all else that is left
    /// to the caller.
    async fn send(&self, call: Call<'_>, streamed: bool) -> Result<(Response<Incoming>, Arrival), Failure> {
        let Call { ask, model, max_output_tokens, key, arrival } = call;
        let body = self.protocol.request(Question { ask, model, max_output_tokens, streamed })?;
        let mut headers = self.http.headers();
        if let Some(key) = key {
            let (header, prefix) = self.protocol.auth();
            headers.insert(header, credential(prefix, key)?);
        }
        if self.traced
            && let Some(trace) = trace::outgoing().and_then(|text| text.parse().ok())
        {
            headers.insert(TRACEPARENT, trace);
        }
        let uri = self.protocol.uri(model).map_err(|error| {
            tracing::error!(error, "a provider's address cannot be used: look after it");
            Failure::Unreachable
        })?;
        let response = self.http.post(uri, headers, body.into(), arrival.clone()).await?;
        if response.status().is_success() {
            return Ok((response, arrival));
        }
        arrival.answered();
        Err(refusal::read(response).await)
    }

    async fn answer(&self, call: Call<'_>) -> Result<Answer, Failure> {
        let form = call.ask.form;
        let (response, arrival) = self.send(call, false).await?;
        let answer = async {
            let body = client::read(response.into_body(), self.settings.answer_bytes_max).await?;
            self.protocol.answer(body, form)
        };
        unless_here(answer, || arrival.answered()).await
    }

    async fn open(&self, call: Call<'_>) -> Result<Chunks, Failure> {
        let first_by = Instant::now() + self.settings.timeout;
        let reader = self.protocol.reader(call.ask.form);
        let (response, arrival) = within(self.settings.timeout, self.send(call, true)).await?;
        arrival.answered();
        Ok(stream::chunks(response.into_body(), reader, first_by, &self.settings).boxed())
    }
}

impl<P: Protocol> Provider for Http<P> {
    fn whole<'c>(&'c self, call: Call<'c>) -> BoxFuture<'c, Result<Answer, Failure>> {
        let key = call.key;
        within(self.settings.timeout, self.answer(call))
            .map(move |answer| answer.map_err(|it| it.discreet(key)))
            .boxed()
    }

    fn stream<'c>(&'c self, call: Call<'c>) -> BoxFuture<'c, Result<Chunks, Failure>> {
        let key = call.key;
        let open = self.open(call);
        async move {
            let chunks = open.await.map_err(|failure| failure.discreet(key))?;
            let key = key.cloned();
            Ok(chunks.map(move |chunk| chunk.map_err(|failure| failure.discreet(key.as_ref()))).boxed())
        }
        .boxed()
    }
}

fn credential(prefix: &str, key: &Secret) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(format!("{prefix}{}", key.reveal())).map_err(|_| {
        let message = "the key has characters that a header cannot carry".to_owned();
        Failure::KeyDenied { status: 0, message }
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Tells that an answer has begun, unless all of it is here together with its head: that it is over says the same.
async fn unless_here<T>(answer: impl Future<Output = Result<T, Failure>>, begun: impl FnOnce()) -> Result<T, Failure> {
    let mut answer = pin!(answer);
    let here = futures::poll!(answer.as_mut());
    if !matches!(here, Poll::Ready(Ok(_))) {
        begun();
    }
    match here {
        Poll::Ready(answer) => answer,
        Poll::Pending => answer.await,
    }
}

async fn within<T>(time: Duration, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(time, call).await.unwrap_or(Err(Failure::Broken { how: "took too long" }))
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::ready};

    use super::*;

    #[tokio::test]
    async fn an_answer_that_is_not_here_at_once_or_is_none_has_begun_all_the_same() {
        let begun = Cell::new(0);
        let tell = || begun.set(begun.get() + 1);
        assert_eq!(unless_here(ready(Ok(1)), tell).await, Ok(1));
        assert_eq!(begun.get(), 0, "it is over");
        let broken = Failure::Broken { how: "broke off" };
        assert_eq!(unless_here(ready(Err::<(), _>(broken.clone())), tell).await, Err(broken));
        assert_eq!(begun.get(), 1);
        let later = async {
            tokio::task::yield_now().await;
            Ok(begun.get())
        };
        assert_eq!(unless_here(later, tell).await, Ok(2), "and that before it is over");
    }
}
