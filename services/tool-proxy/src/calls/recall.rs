//! What is recorded: a repeat of the call gets it, also where the call could not be made any more.

use std::time::Duration;

use holdfast_rpc::{Error, time};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::{Call, Calls, Command, other_call};
use crate::domain::{Answer, Finding, Reply, Slot, Timing, fingerprint};
use crate::journal::{Authority, Found, Persistence, Written};

/// How often a repeat looks whether the call it waits for has ended: at first, and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

impl Calls {
    /// A server may not list a tool any more, describe it otherwise, or be away just now: what is recorded outlives that.
    /// The recorded answer to a call that cannot be made now, or the error why it cannot.
    pub(super) async fn recall(&self, command: &Command, error: Error) -> Result<Reply, Error> {
        let text = if command.arguments.is_empty() { b"{}" } else { command.arguments.as_ref() };
        let (Some(slot), Ok(arguments)) = (&command.slot, serde_json::from_slice::<Map<String, Value>>(text)) else {
            return Err(error);
        };
        let Some(found) = self.journal.find(slot).await? else { return Err(error) };
        let fingerprint = fingerprint(&command.tool, &arguments);
        match found.record.find(&fingerprint, time::now_micros(), Duration::ZERO) {
            Finding::Answered(answer) => Ok(Reply { answer: *answer, timing: Timing::default(), replayed: true }),
            Finding::OtherCall => Err(other_call(&found)),
            Finding::UnderWay(_) | Finding::Lost => Err(error),
        }
    }

    /// What a repeat gets: the recorded answer, at once or when it is there, or the news that it is lost.
    pub(super) async fn repeat(&self, call: &Call, slot: &Slot, mut found: Box<Found>) -> Result<Reply, Error> {
        let (started, mut look) = (Instant::now(), LOOK.0);
        // A later word of the intent is waited for anew.
        let (mut intent, mut since) = (found.record.intent, started);
        let reply =
            |answer, replayed, waited| Reply { answer, timing: Timing { waited, ..Timing::default() }, replayed };
        let mut waited = Duration::ZERO;
        loop {
            if found.record.intent != intent {
                (intent, since) = (found.record.intent, Instant::now());
            }
            match found.record.find(&call.fingerprint, time::now_micros(), since.elapsed()) {
                Finding::OtherCall => return Err(other_call(&found)),
                Finding::Answered(answer) => return Ok(reply(*answer, true, waited)),
                Finding::UnderWay(left) => {
                    sleep(look.min(left)).await;
                    look = (look * 2).min(LOOK.1);
                    found = self.journal.find(slot).await?.unwrap_or(found);
                    waited = started.elapsed();
                }
                Finding::Lost => match self.give_up(call, slot, &found).await? {
                    Ok(answer) => return Ok(reply(answer, false, waited)),
                    Err(moved) => found = moved,
                },
            }
        }
    }

    /// Records that nobody knows the outcome, if that is still so.
    async fn give_up(&self, call: &Call, slot: &Slot, found: &Found) -> Result<Result<Answer, Box<Found>>, Error> {
        let unknown = Answer::unknown(&call.tool.name, "OUTCOME_LOST");
        let Some(record) = found.record.clone().settled(&unknown) else {
            return Ok(Err(Box::new(found.clone())));
        };
        let until = Persistence::Always(Instant::now() + self.limits.intend_for);
        match self.journal.write(slot, &record, Some(&found.version), Authority::Mesh, until).await? {
            Written::Taken(_) => Ok(Ok(unknown)),
            Written::Moved(Some(moved)) => Ok(Err(moved)),
            Written::Moved(None) => Err(Error::internal("the record of a call was deleted under way")),
        }
    }
}
