use std::{error::Error as _, sync::Arc, time::Duration};

use holdfast_resilience::{Breaker, Permit, Refused, Settings};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tonic::{
    Status, TimeoutExpired,
    body::Body,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{connector::Connector, unanswered};
use crate::{Error, HttpResponse, watched::Watched};

/// Opening a connection ends within this long; sooner where another address can be tried.
const CONNECT_MAX: Duration = Duration::from_secs(3);
const CONNECT_MAX_OF_SEVERAL: Duration = Duration::from_secs(1);
/// And the answer to a question of ours comes within this long, or the peer is not there.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// A silent connection is asked whether it lives, and dropped when it does not say so.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Of one stream, as the server has it.
const STREAM_WINDOW: u32 = 1 << 20;
/// Of all streams together. Half of it is what h2 lets small unread frames cost before it ends the whole connection: a few
/// readers of tokens that stand still must not get there.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// A peer that cannot be reached so many times in a row is left alone for the open time: callers are told at once.
const FAILURES_IN_A_ROW: u32 = 5;
const OPEN: Duration = Duration::from_millis(250);
const OPEN_MAX: Duration = Duration::from_secs(1);
/// One of several addresses is left at the first failure, and tried again ever more rarely.
const OPEN_MAX_OF_SEVERAL: Duration = Duration::from_secs(5);

/// One address of a peer: its connection, made when it is first used and again when it broke, and its breaker.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) connection: Channel,
    pub(super) breaker: Breaker,
}

/// How a call tells the breaker whether the peer is there.
pub(super) enum Verdict {
    Own(Permit),
    /// A question of ours tells it too: whichever is first.
    Asked {
        probe: Arc<Mutex<Option<Permit>>>,
        breaker: Breaker,
    },
}

impl Verdict {
    fn reached(self) {
        match self {
            Self::Own(permit) => permit.success(),
            Self::Asked { probe, .. } => probe.lock().take().into_iter().for_each(Permit::success),
        }
    }

    /// A peer that answers our question and breaks off what callers ask has failed all the same.
    fn failed(self) {
        let permit = match self {
            Self::Own(permit) => Some(permit),
            Self::Asked { probe, breaker } => probe.lock().take().or_else(|| breaker.acquire_closed().ok()),
        };
        permit.into_iter().for_each(Permit::failure);
    }
}

impl Address {
    /// # Errors
    /// INVALID_ARGUMENT: the URL or the authority is malformed.
    pub(super) fn new(url: &str, authority: Option<&str>, one_of_several: bool) -> Result<Self, Error> {
        let malformed = |why: String| Error::invalid("address", format!("{url:?} {why}; write it as http://HOST:PORT"));
        let mut endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|error| malformed(format!("is not a URL ({error})")))?
            .connect_timeout(if one_of_several { CONNECT_MAX_OF_SEVERAL } else { CONNECT_MAX })
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        let uri = endpoint.uri();
        if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(malformed("has no host or another scheme than http and https".into()));
        }
        if uri.scheme_str() == Some("https") {
            let mut tls = ClientTlsConfig::new();
            if let Some(pem) = authority {
                tls = tls.ca_certificate(Certificate::from_pem(pem));
            }
            endpoint =
                endpoint.tls_config(tls).map_err(|error| malformed(format!("cannot be used with TLS ({error})")))?;
        }
        let connection = endpoint.connect_with_connector_lazy(Connector);
        Ok(Self { connection, breaker: Breaker::new(breaker(one_of_several)) })
    }

    /// Lets a call through, unless the peer is left alone. On the way back from that one question of our own goes along with
    /// the first call: what callers ask may take a peer minutes to answer, and they may leave before, while all others would
    /// be told that it cannot be reached.
    ///
    /// # Errors
    /// It is left alone.
    pub(super) fn acquire(&self) -> Result<Verdict, Refused> {
        let permit = self.breaker.acquire()?;
        if !permit.is_probe() {
            return Ok(Verdict::Own(permit));
        }
        let probe = Arc::new(Mutex::new(Some(permit)));
        tokio::spawn(ask(HealthClient::new(self.connection.clone()), Arc::clone(&probe)));
        Ok(Verdict::Asked { probe, breaker: self.breaker.clone() })
    }
}

/// Asks a peer how it is. Whatever it says, it is there; one that takes connections and says nothing is not.
async fn ask(mut peer: HealthClient<Channel>, probe: Arc<Mutex<Option<Permit>>>) {
    let answer = timeout(ANSWER_MAX, peer.check(HealthCheckRequest::default())).await;
    let Some(permit) = probe.lock().take() else { return };
    match answer {
        Ok(Ok(_)) => permit.success(),
        Ok(Err(status)) if status.source().is_none() => permit.success(),
        Ok(Err(_)) | Err(_) => permit.failure(),
    }
}

/// Guards against a peer that cannot be reached. What a peer that answers says is not this breaker's business.
fn breaker(one_of_several: bool) -> Settings {
    let in_a_row = if one_of_several { 1 } else { FAILURES_IN_A_ROW };
    Settings {
        failure_percent: 100,
        minimum_calls: in_a_row,
        consecutive_failures: Some(in_a_row),
        open: OPEN,
        open_max: if one_of_several { OPEN_MAX_OF_SEVERAL } else { OPEN_MAX },
        probes: 1,
        ..Settings::default()
    }
}

/// Why a call has no answer.
pub(super) enum Failed {
    /// The peer could not be reached, or the connection broke.
    Transport(Status),
    /// The call's time was over: no word about the peer.
    Deadline,
}

impl From<Failed> for Status {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Transport(status) => status,
            Failed::Deadline => Error::deadline().into(),
        }
    }
}

/// Waits for the answer until the deadline, and says whether the peer was there.
pub(super) async fn settle<F>(
    answer: F,
    at: Option<Instant>,
    verdict: Verdict,
    peer: &'static str,
) -> Result<HttpResponse, Failed>
where
    F: Future<Output = Result<HttpResponse, tonic::transport::Error>>,
{
    let answer = match at {
        Some(at) => tokio::time::timeout_at(at, answer).await,
        None => Ok(answer.await),
    };
    match answer {
        Ok(Ok(response)) => {
            verdict.reached();
            Ok(response.map(|body| Body::new(Watched::new(body, at, None))))
        }
        Ok(Err(error)) if !unanswered::caused_by::<TimeoutExpired>(&error) => {
            verdict.failed();
            Err(Failed::Transport(unanswered::failed(peer, &error)))
        }
        // The caller's deadline was short, or the peer is slow: no word about whether it can be reached.
        Ok(Err(_)) | Err(_) => Err(Failed::Deadline),
    }
}
