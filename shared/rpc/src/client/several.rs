//! Several processes of one service: calls go to one of them as long as it is there, and to the next at once when not.
//!
//! Each client begins at an address of its own choice, so that many spread. An address that cannot be reached is left
//! alone by its breaker, one that answers UNAVAILABLE (it drains) for a moment; then calls come back to it.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use http::{Request, request::Parts};
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use super::{
    address::{Address, Failed, settle},
    lent::Lender,
    unanswered,
};
use crate::{HttpRequest, HttpResponse, watched::code};

/// How long an address that answered UNAVAILABLE comes after the others.
const AVOIDED: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Several {
    addresses: Vec<Candidate>,
    /// Where the search for an address begins.
    home: AtomicUsize,
    origin: Instant,
}

#[derive(Debug)]
struct Candidate {
    address: Address,
    /// Milliseconds since the origin.
    avoided_until: AtomicU64,
}

impl Several {
    pub(super) fn new(addresses: Vec<Address>) -> Self {
        let home = rand::random_range(0..addresses.len());
        let candidate = |address| Candidate { address, avoided_until: AtomicU64::new(0) };
        let addresses = addresses.into_iter().map(candidate).collect();
        Self { addresses, home: AtomicUsize::new(home), origin: Instant::now() }
    }

    pub(super) fn set_home(&self, home: usize) {
        self.home.store(home % self.addresses.len(), Ordering::Relaxed);
    }

    /// The address that calls go to now comes after the others for a while.
    pub(super) fn leave(&self) {
        let reachable = |index: &usize| self.addresses[*index].address.breaker.refusal().is_none();
        if let Some(current) = self.order().into_iter().find(reachable) {
            self.avoid(current);
        }
    }

    /// Sends a request to the first address that can be reached. Nothing is sent twice: only what nobody has read of goes
    /// to the next.
    pub(super) async fn send(
        &self,
        request: HttpRequest,
        at: Option<Instant>,
        peer: &'static str,
    ) -> Result<HttpResponse, Status> {
        let (parts, body) = request.into_parts();
        let lender = Lender::new(body);
        let mut refused: Option<Status> = None;
        let mut open: Option<Duration> = None;
        for index in self.order() {
            let address = &self.addresses[index].address;
            let verdict = match address.acquire() {
                Ok(verdict) => verdict,
                Err(refusal) => {
                    open = Some(open.map_or(refusal.retry_after, |wait| wait.min(refusal.retry_after)));
                    continue;
                }
            };
            let attempt = Request::from_parts(Parts::clone(&parts), lender.lend());
            match settle(address.connection.clone().oneshot(attempt), at, verdict, peer).await {
                Ok(response) => {
                    if code(response.headers()) == Some(Code::Unavailable) {
                        self.avoid(index);
                    }
                    return Ok(response);
                }
                Err(Failed::Transport(status)) if lender.is_whole() => refused = Some(status),
                Err(failed) => return Err(failed.into()),
            }
        }
        let open = open.unwrap_or_default();
        Err(refused.unwrap_or_else(|| unanswered::not_reached(peer, open)))
    }

    /// All addresses, from home on; those to be avoided come last.
    fn order(&self) -> Vec<usize> {
        let (count, home) = (self.addresses.len(), self.home.load(Ordering::Relaxed));
        let now = self.now_ms();
        let mut order: Vec<usize> = (home..home + count).map(|index| index % count).collect();
        order.sort_by_key(|index| self.addresses[*index].avoided_until.load(Ordering::Relaxed) > now);
        order
    }

    fn avoid(&self, index: usize) {
        let until = self.now_ms() + AVOIDED.as_millis() as u64;
        self.addresses[index].avoided_until.store(until, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }
}
