//! What comes up by itself: deadlines that pass, delays that are over. Any process does it for all of them; the rows decide
//! who was first.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use holdfast_rpc::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::Code;

use super::super::core::Commands;
use super::super::tag::{SettleTag, SettleTo, Tag};
use super::super::{Shared, answered, refusal};
use super::AGAIN;
use crate::domain::time::Moment;
use crate::store::{Change, Command, Settle};

/// What is done at once.
const DUE_MAX: usize = 500;
/// Between two looks: other processes accept what comes up here.
const EVERY: Duration = Duration::from_millis(500);

pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let wait = match shared.do_due().await {
            Ok(true) => continue,
            Ok(false) => EVERY,
            Err(error) => {
                tracing::debug!(%error, "what is due cannot be done just now");
                AGAIN
            }
        };
        let look = Instant::now() + wait;
        loop {
            let soonest = shared.soonest().map_or(look, |at| shared.clock.instant(at).min(look));
            tokio::select! {
                () = shared.together.sooner.notified() => {}
                () = tokio::time::sleep_until(soonest) => break,
            }
        }
    }
}

impl Shared {
    /// Does what is due; whether there may be more.
    async fn do_due(self: &Arc<Self>) -> Result<bool, Error> {
        let now = self.clock.now();
        {
            // What comes from here on is sooner again.
            let mut core = self.core.lock();
            core.soonest = None;
            *self.together.soonest.lock() = None;
        }
        let due = self.others().due(now.wall, DUE_MAX).await.map_err(|failure| refusal::store(&failure))?;
        // What is next by the server's clock may be over by one that is ahead: it is left to the next look.
        if let Some(next) = due.next.filter(|next| *next > now.wall) {
            let mut core = self.core.lock();
            core.comes_up(Some(next), now);
            if let Some(window) = &core.window {
                self.together.look_after(window, core.soonest);
            }
        }
        let more = due.expired.len() >= DUE_MAX || due.delayed.len() >= DUE_MAX;
        let mut commands = Commands::new();
        let mut expired = Vec::new();
        for id in due.expired {
            let (reply, answer) = oneshot::channel();
            expired.push(answered(answer));
            let settle = Settle { id, now: now.wall, change: Change::Expire };
            let tag = Tag::Settle(SettleTag { id, whose: None, to: SettleTo::Caller(reply) });
            commands.push((tag, Command::Settle(Box::new(settle))));
        }
        let mut promoted = None;
        if !due.delayed.is_empty() {
            let (reply, answer) = oneshot::channel();
            promoted = Some(answered(answer));
            commands.push((Tag::Promote(reply), Command::Promote(due.delayed)));
        }
        self.send(commands);
        // One that has ended otherwise meanwhile is refused, which is as well.
        let refused =
            join_all(expired).await.into_iter().filter_map(Result::err).find(|error| error.code() == Code::Unavailable);
        if let Some(promoted) = promoted {
            promoted.await?;
        }
        refused.map_or(Ok(more), Err)
    }

    fn soonest(&self) -> Option<Moment> {
        *self.together.soonest.lock()
    }
}
