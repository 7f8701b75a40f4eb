//! Ends: by the holder of a lease, or by a caller.

use std::sync::Arc;

use holdfast_rpc::Error;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::lease::Holder;
use super::tag::{SettleTag, SettleTo, Settled, Tag, TellTag, TellTo, Whose};
use super::{Queue, Shared, answered};
use crate::domain::event::Report;
use crate::domain::invocation::{Failure, Payload, Usage};
use crate::domain::record::Record;
use crate::store::{Change, Command, Settle, Tell};

/// How a holder ends its lease.
#[derive(Debug)]
pub(crate) enum Ending {
    Complete { result: Payload, usage: Usage },
    Fail { failure: Failure, usage: Usage },
    Release,
}

/// What a holder tells.
#[derive(Debug)]
pub(crate) enum Telling {
    Progress { message: String, fraction: Option<f64> },
    Chunk(bytes::Bytes),
}

impl Queue {
    /// Ends a lease.
    pub(crate) async fn settle(&self, tenant: Option<&str>, token: &str, ending: Ending) -> Result<Settled, Error> {
        let (reply, answer) = oneshot::channel();
        let command =
            self.shared.settlement(tenant, token, ending, SettleTo::Caller(reply)).map_err(|(error, _)| error)?;
        self.shared.send(vec![command]);
        answered(answer).await
    }

    /// Adds an event to a leased invocation's stream; its offset.
    pub(crate) async fn tell(&self, tenant: Option<&str>, token: &str, telling: Telling) -> Result<u64, Error> {
        let (reply, answer) = oneshot::channel();
        let command = self.shared.report(tenant, token, telling, TellTo::Caller(reply)).map_err(|(error, _)| error)?;
        self.shared.send(vec![command]);
        answered(answer).await
    }

    /// Ends an invocation for a caller. State is told of the fence afterwards; the caller does not wait for that.
    ///
    /// # Errors
    /// NOT_FOUND, also for another tenant's; FAILED_PRECONDITION once it has ended otherwise.
    pub async fn cancel(&self, tenant: Option<Arc<str>>, id: Uuid, why: String) -> Result<Record, Error> {
        let (reply, answer) = oneshot::channel();
        let change = Change::Cancel { tenant: tenant.clone(), why };
        let settle = Settle { id, now: self.shared.clock.now().wall, change };
        let tag = Tag::Settle(SettleTag { id, whose: None, to: SettleTo::Caller(reply) });
        self.shared.send(vec![(tag, Command::Settle(Box::new(settle)))]);
        answered(answer).await?;
        // It is cancelled, whether or not it can be read.
        self.get(tenant.as_deref(), id).await.map_err(Error::maybe_happened)
    }
}

impl Shared {
    /// The command for an end; who asked comes back with a refusal.
    pub(super) fn settlement(
        &self,
        tenant: Option<&str>,
        token: &str,
        ending: Ending,
        to: SettleTo,
    ) -> Result<(Tag, Command), (Error, SettleTo)> {
        let claims = self.claims(tenant, token).and_then(|claims| Ok((Holder::of(&claims)?, claims)));
        let (holder, claims) = match claims {
            Ok(known) => known,
            Err(error) => return Err((error, to)),
        };
        let whose = || Whose { agent: claims.agent.into(), tenant: claims.tenant.into() };
        let whose = self.store.shared().is_some().then(whose);
        let (id, lease) = (holder.invocation, holder.lease);
        let change = match ending {
            Ending::Complete { result, usage } => Change::Complete { lease, result, usage },
            Ending::Fail { failure, usage } => Change::Fail { lease, failure, usage, jitter: rand::random() },
            Ending::Release => Change::Release { lease },
        };
        let settle = Settle { id, now: self.clock.now().wall, change };
        Ok((Tag::Settle(SettleTag { id, whose, to }), Command::Settle(Box::new(settle))))
    }

    /// The command for a report; who asked comes back with a refusal.
    pub(super) fn report(
        &self,
        tenant: Option<&str>,
        token: &str,
        telling: Telling,
        to: TellTo,
    ) -> Result<(Tag, Command), (Error, TellTo)> {
        let holder = match self.holder(tenant, token) {
            Ok(holder) => holder,
            Err(error) => return Err((error, to)),
        };
        let report = match telling {
            Telling::Progress { message, fraction } => Report::Progress { message, fraction },
            Telling::Chunk(data) => Report::Chunk { attempt: holder.attempt, data },
        };
        let (id, lease) = (holder.invocation, holder.lease);
        let tell = Tell { id, lease, now: self.clock.now().wall, report, keep: self.config.keep() };
        Ok((Tag::Tell(TellTag { id, to }), Command::Tell(Box::new(tell))))
    }
}

#[cfg(test)]
mod tests {
    use holdfast_rpc::lease::LeaseKey;
    use holdfast_rpc::service::Stop;
    use holdfast_testkit::Postgres;

    use super::super::outage::{ask, submission};
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn an_end_counts_where_it_is_told_though_another_process_keeps_the_lease() {
        let server = Postgres::start().await;
        let url = server.url();
        let join = || Queue::join(&url, Config::default(), LeaseKey::new(b"k"));
        let (keeper, other) = (join().await.unwrap(), join().await.unwrap());
        keeper.together(&Stop::new());
        keeper.enqueue(submission()).await.unwrap();
        let token = keeper.lease(ask()).await.unwrap().remove(0).token;
        let done = Ending::Complete { result: Payload::default(), usage: Usage::default() };
        other.settle(None, &token, done).await.unwrap();
        assert!(other.drain_rates()["a"] > 0.0);
    }
}
