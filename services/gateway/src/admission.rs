//! Who gets in, and how many: a rate and a number of calls for each tenant, and room of their own for those who wait, those who
//! work and the calls of their work, so that none of them can take another one's places, and no tenant those of all.

mod desk;
mod pace;
mod terms;

use std::sync::Arc;
use std::time::Duration;

use holdfast_rpc::Error;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::allowance::Account;
use crate::metrics;

pub(crate) use desk::Kind;
use desk::{Desk, Member, Refusal};
pub(crate) use terms::{Agreed, Room, Terms, burst_of};

/// Added to a hint, at most this share of itself: those who were refused together do not return together.
const HINT_JITTER: f64 = 0.2;

/// The shortest hint. Sooner, nothing has changed.
const HINT_MIN: Duration = Duration::from_millis(10);

/// A cheap handle on the one desk of this process.
#[derive(Clone)]
pub(crate) struct Admission {
    desk: Arc<Mutex<Desk>>,
    origin: Instant,
}

impl Admission {
    pub(crate) fn new(room: Room, agreed: Agreed) -> Self {
        Self { desk: Arc::new(Mutex::new(Desk::new(room, agreed))), origin: Instant::now() }
    }

    /// A place for one call, held until it is dropped.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED, with the time when there is a place again.
    pub(crate) fn admit(&self, tenant: &str, kind: Kind) -> Result<Place, Error> {
        match self.desk.lock().enter(self.origin.elapsed(), tenant, kind) {
            Ok(member) => Ok(Place { admission: self.clone(), member, kind }),
            Err(Refusal { limit, retry_after }) => {
                metrics::refused(limit.name());
                let wait = retry_after.max(HINT_MIN).mul_f64(1.0 + HINT_JITTER * rand::random::<f64>());
                Err(Error::exhausted(limit.told(tenant), wait))
            }
        }
    }
}

/// A call that got in.
pub(crate) struct Place {
    admission: Admission,
    member: Arc<Member>,
    kind: Kind,
}

impl Place {
    /// What its tenant's requests hold that are being read.
    pub(crate) fn reading(&self) -> &Arc<Account> {
        &self.member.reading
    }

    /// And those on their way to the queue.
    pub(crate) fn sending(&self) -> &Arc<Account> {
        &self.member.sending
    }

    /// What its tenant's callers have not read.
    pub(crate) fn unread(&self) -> &Arc<Account> {
        &self.member.unread
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = self.admission.origin.elapsed();
        self.admission.desk.lock().leave(now, &self.member.name, self.kind);
    }
}

#[cfg(test)]
impl Admission {
    /// With room for all, and these terms for each.
    pub(crate) fn under(terms: Terms) -> Self {
        Self::new(Room { waits_max: usize::MAX, workers_max: usize::MAX }, Agreed::same_for_all(terms))
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_refused_call_gets_in_when_it_was_told_to_come_back() {
        let terms = Terms { rate: Some(20.0), ..Terms::WIDE };
        let admission = Admission::under(terms);
        for _ in 0..5 {
            drop(admission.admit("acme", Kind::Call).expect("the bucket has a token"));
            let refused = admission.admit("acme", Kind::Call).map(drop).expect_err("it has no other");
            assert_eq!(refused.code(), Code::ResourceExhausted);
            let wait = refused.retry_after().expect("when to come back");
            assert!((0.01..=0.06).contains(&wait.as_secs_f64()), "{wait:?}");
            tokio::time::sleep(wait).await;
        }
    }
}
