//! Calls with a record: made once, and an effectful one to its end, whether its caller stays or not.

use std::sync::Arc;

use holdfast_rpc::{Error, deadline, trace};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tracing::Instrument as _;

use super::entry::{Departure, Entry};
use super::{Call, Calls, Stop};
use crate::domain::{Effect, Reply, Slot, Timing};

impl Calls {
    /// Makes a call once, whoever asks for it how often.
    pub(super) async fn recorded(self: &Arc<Self>, call: &Arc<Call>, slot: &Slot) -> Result<Reply, Error> {
        if let Some(found) = self.journal.find(slot).await? {
            return self.repeat(call, slot, found).await;
        }
        let since = Instant::now();
        let made = match call.tool.effect {
            Effect::Effectful => self.outlasting_the_caller(call, slot).await?,
            _ => self.make(call, slot, &Departure::default(), deadline::current()).await,
        };
        match made {
            Ok(reply) => Ok(reply),
            Err(Stop::Refused(error)) => Err(error),
            Err(Stop::Overtaken(found)) => {
                let before = since.elapsed();
                let mut reply = self.repeat(call, slot, found).await?;
                reply.timing.waited += before;
                Ok(reply)
            }
        }
    }

    /// Makes the call in a task of its own. A caller who goes away ends it as any other, but only until word of its intent
    /// is left: from then on it goes on, for what it comes to must be recorded.
    async fn outlasting_the_caller(
        self: &Arc<Self>,
        call: &Arc<Call>,
        slot: &Slot,
    ) -> Result<Result<Reply, Stop>, Error> {
        let room = self.outlasting.room(call.bytes)?;
        let caller = CancellationToken::new();
        let _here = caller.clone().drop_guard();
        let (this, call, slot) = (Arc::clone(self), Arc::clone(call), slot.clone());
        let (trace, deadline) = (trace::outgoing(), deadline::current());
        let work = async move {
            let departure = Departure::default();
            let abandoned = async {
                caller.cancelled().await;
                if departure.is_begun() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = abandoned => Err(Error::new(Code::Cancelled, "CANCELLED", "the caller went away").into()),
                made = this.make(&call, &slot, &departure, deadline) => made,
            }
        };
        let work = async move {
            match trace {
                Some(trace) => trace::scope(trace, work).await,
                None => work.await,
            }
        };
        self.outlasting.start(room, work.in_current_span()).await.map_err(Error::internal)
    }

    /// Makes the call and records what it comes to. The caller's deadline bounds what comes before that.
    async fn make(
        &self,
        call: &Call,
        slot: &Slot,
        departure: &Departure,
        deadline: Option<Instant>,
    ) -> Result<Reply, Stop> {
        let patience = self.catalog.patience(&call.tool);
        let mut entry = Some(Entry::new(&self.journal, self.limits, slot, call, patience, departure));
        let mut timing = Timing::default();
        // On the heap: scopes within scopes would move what is large once for each.
        let performing = Box::pin(self.perform(call, &mut entry, &mut timing));
        let performed = deadline::scope(deadline, performing).await;
        let left = entry.as_ref().is_some_and(Entry::has_left);
        let settled = match (performed, entry) {
            (Ok(answer), Some(entry)) => Box::pin(entry.settle(answer)).await,
            (Ok(_), None) => Err(Error::internal("the record of a call is gone")),
            (Err(Stop::Refused(error)), _) => Err(error),
            (Err(overtaken), _) => return Err(overtaken),
        };
        match settled {
            Ok((answer, replayed)) => Ok(Reply { answer, timing, replayed }),
            // An attempt may have had its effect before the state service could not be reached any more.
            Err(error) if left && call.tool.effect != Effect::ReadOnly => Err(error.maybe_happened().into()),
            Err(error) => Err(error.into()),
        }
    }
}
