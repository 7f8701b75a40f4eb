use std::{sync::Arc, time::Duration};

use holdfast_config::Secret;
use holdfast_resilience::Permit;
use tokio::time::Instant;

use super::{Reply, Timing, unsettled::Settlement};
use crate::{
    accounts::Charge,
    domain::{Answer, Estimate, Ticket},
    gate::{Arrival, Place},
    model::{Deployment, NamedKey},
    provider::Failure,
};

/// A key rests at least this long, whatever the provider says: else a `Retry-After: 0` would be a busy loop.
pub(super) const REST_MIN: Duration = Duration::from_millis(100);
/// And at most this long: then the provider is asked whether it still means it.
const REST_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What a call holds while it is at the provider. Dropped, the call counts as given up.
pub(crate) struct Flight {
    place: Place,
    key: Arc<NamedKey>,
    permit: Permit,
    estimate: Estimate,
    /// What is set aside for it, once it is answered.
    charge: Option<Charge>,
    started: Instant,
    timing: Timing,
    deployment: Arc<Deployment>,
    /// Tokens of the answer that were seen.
    seen: u64,
}

impl Flight {
    pub(super) fn new(
        place: Place,
        key: Arc<NamedKey>,
        permit: Permit,
        estimate: Estimate,
        timing: Timing,
        deployment: Arc<Deployment>,
    ) -> Self {
        let started = Instant::now();
        Self { place, key, permit, estimate, charge: None, started, timing, deployment, seen: 0 }
    }

    /// What its key shows the provider.
    pub(super) fn secret(&self) -> Option<&Secret> {
        self.key.key.as_ref()
    }

    /// Its key.
    pub(super) fn key(&self) -> &Arc<NamedKey> {
        &self.key
    }

    /// Where it goes.
    pub(super) fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// Whether its circuit looks by it whether the deployment is well again.
    pub(super) fn is_probe(&self) -> bool {
        self.permit.is_probe()
    }

    /// The caller is gone. Whether it goes on all the same, since its circuit wants to know.
    pub(super) fn orphan(&mut self) -> bool {
        self.permit.orphan()
    }

    /// The deployment has begun to answer: that a probe's caller goes away now says nothing against it.
    pub(super) fn answers(&mut self) {
        self.permit.answers();
        self.arrival().answered();
    }

    /// What hears of the request's arrival.
    pub(super) fn arrival(&self) -> Arrival {
        self.place.arrival()
    }

    /// The provider answers: it is this call that costs.
    pub(super) fn costs(self, charge: Option<Charge>) -> Self {
        Self { charge, ..self }
    }

    /// The answer has begun, and goes on.
    pub(super) fn begins(&mut self) {
        self.place.taken();
    }

    /// Who answers, and how long it was waited for.
    pub(super) fn so_far(&self) -> (String, Duration) {
        (self.deployment.name.clone(), self.timing.waited)
    }

    /// So many more tokens of the answer were seen, at least.
    pub(super) fn saw(&mut self, tokens: u64) {
        self.seen += tokens;
        self.place.writes(self.seen);
        self.charge.iter_mut().for_each(|charge| charge.saw(tokens));
    }

    /// The provider is done, and this is its answer; what else follows from it is still to be settled.
    pub(super) fn done(self, answer: Answer) -> (Reply, Settlement) {
        let Self { place, permit, estimate, charge, started, timing, deployment, .. } = self;
        let took = started.elapsed();
        // At once: failures count at once too.
        permit.success();
        let timing = Timing { called: timing.called + took, ..timing };
        let name = deployment.name.clone();
        let settlement = Settlement { place, estimate, charge, deployment, took, used: answer.usage };
        (Reply { answer, deployment: name, timing, degraded: false }, settlement)
    }

    /// The provider failed: what that means for its key, its circuit and its rest. Gives the call's place in the order, to
    /// come again with, and the time that was spent. The provider's own words are for the caller, who may stand in them, and
    /// not for the log.
    pub(crate) fn failed(self, failure: &Failure) -> (Ticket, Duration) {
        let Self { place, key, permit, started, deployment, .. } = self;
        let took = started.elapsed();
        deployment.calls.failed(failure.name(), took);
        let (house, ticket) = (&deployment.house, place.ticket());
        match failure {
            Failure::Limited { retry_after } => {
                let rest = retry_after.unwrap_or(house.cooldown).clamp(REST_MIN, REST_MAX);
                tracing::warn!(
                    provider = house.name,
                    key = &**place.key(),
                    ?rest,
                    "the provider said 429: the key rests"
                );
                place.rest(rest);
            }
            // Another secret has taken its place meanwhile, of which this says nothing.
            Failure::KeyDenied { .. } | Failure::Forbidden { .. } | Failure::Doubtful { .. } if !house.has(&key) => {
                place.turned_away();
            }
            // It has taken the key: it means what was said.
            Failure::Forbidden { .. } | Failure::Doubtful { .. } if place.has_begun() => place.turned_away(),
            Failure::Doubtful { .. } => {
                let key = Arc::clone(place.key());
                if let Some(rest) = place.doubt((house.cooldown, house.quarantine)) {
                    tracing::error!(
                        provider = house.name, key = &*key, failure = failure.name(), again_in = ?rest,
                        "the provider forbids whatever is asked with its only key: look after it; until then it is left alone",
                    );
                }
            }
            Failure::KeyDenied { .. } | Failure::Forbidden { .. } => {
                tracing::error!(
                    provider = house.name, key = &**place.key(), failure = failure.name(), again_in = ?house.quarantine,
                    "a key is of no use: look after it. Replace it in the configuration, which is read again by itself, or \
                     set it right at the provider; until then it is left alone",
                );
                place.deny(house.quarantine);
            }
            Failure::Rejected { .. } | Failure::ContextLength { .. } | Failure::ForbiddenToAll { .. } => {
                permit.success();
                place.stopped();
            }
            Failure::NoModel { .. } => {
                tracing::error!(
                    deployment = deployment.name,
                    failure = failure.name(),
                    "a deployment is of no use: look after it"
                );
                permit.success();
                place.stopped();
            }
            Failure::Untranslatable { .. } | Failure::Withheld => place.unsent(),
            Failure::Unreachable => {
                permit.failure();
                place.unsent();
            }
            Failure::Unwell { retry_after, .. } => {
                permit.failure();
                if let Some(time) = retry_after {
                    deployment.rest.at_least((*time).min(deployment.rest_max));
                }
                place.finish(None);
            }
            // The place is dropped: the provider may still be at it.
            Failure::Broken { .. } => permit.failure(),
        }
        (ticket, took)
    }
}
