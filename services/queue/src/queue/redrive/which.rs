//! Which invocations a redrive means.

use futures::{StreamExt, TryStreamExt, stream};
use holdfast_rpc::Error;
use uuid::Uuid;

use super::refusals::refused;
use super::{RedriveAnswer, RedriveAsk, Which};
use crate::domain::record::{Ended, Outcome, Record, Standing};
use crate::queue::{Page, Queue, refusal};
use crate::store::{Filter, NotRedriven, Redrives};

/// Invocations that are looked up at once.
const LOOKED_UP: usize = 16;

impl Queue {
    /// The invocations that are meant, oldest first: their order within a session is kept.
    pub(super) async fn candidates(&self, ask: &RedriveAsk, answer: &mut RedriveAnswer) -> Result<Vec<Record>, Error> {
        let mut ids = match &ask.which {
            Which::Named(ids) => ids.clone(),
            Which::Like(filter) => return self.like(filter, ask, answer).await,
        };
        ids.sort_unstable();
        ids.dedup();
        let tenant = ask.tenant.as_deref().map(str::to_owned);
        let found: Vec<(Uuid, Option<Record>)> =
            stream::iter(ids)
                .map(|id| {
                    let found = self.shared.store.get(id, tenant.clone(), false);
                    async move {
                        found.await.map(|record| (id, record.map(slim))).map_err(|failure| refusal::store(&failure))
                    }
                })
                .buffered(LOOKED_UP)
                .try_collect()
                .await?;
        let mut records = Vec::new();
        for (id, record) in found {
            match record {
                Some(record) => records.push(record),
                None => answer.refusals.push(refused(id, NotRedriven::Unknown, &ask.statuses)),
            }
        }
        Ok(records)
    }

    /// A page of those that a filter finds, with those that this call redrove before, which it finds no more: in the order
    /// of both, so that a repeat goes over the same page.
    async fn like(&self, filter: &Filter, ask: &RedriveAsk, answer: &mut RedriveAnswer) -> Result<Vec<Record>, Error> {
        let Page { mut records, next } = self.list(filter.clone()).await?;
        // Read afterwards: what goes from one to the other meanwhile is in both.
        let mut before = Vec::new();
        if ask.repeats && !ask.dry_run {
            let (tenant, limit) = (ask.tenant.as_deref().map(str::to_owned), filter.limit + 1);
            let past = Redrives { redrive: ask.redrive, tenant, beyond: filter.beyond, limit };
            before = self.shared.store.redriven_by(past).await.map_err(|failure| refusal::store(&failure))?;
        }
        let mut page: Vec<Uuid> =
            records.iter().map(|record| record.accepted.id).chain(before.iter().copied()).collect();
        page.sort_unstable();
        page.dedup();
        // Beyond the last of a list that goes on there may be others between those of before.
        let last_that_fits = page.get(filter.limit - 1).copied().filter(|_| page.len() > filter.limit);
        answer.next = [next, last_that_fits].into_iter().flatten().min();
        let is_in = |id: Uuid| answer.next.is_none_or(|last| id <= last);
        records.retain(|record| is_in(record.accepted.id));
        before.retain(|id| is_in(*id));
        answer.redriven = before;
        Ok(records)
    }
}

/// Without what may be large and decides nothing: many are looked at.
fn slim(mut record: Record) -> Record {
    if let Standing::Ended(Ended { outcome: Outcome::Succeeded(result), .. }) = &mut record.standing {
        result.data.clear();
    }
    record.tries.clear();
    record
}
