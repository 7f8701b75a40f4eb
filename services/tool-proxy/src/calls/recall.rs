//! What is recorded outlives the tool: a server may not list it any more, describe it otherwise, or be away just now.

use std::time::Duration;

use holdfast_rpc::{Error, time};
use serde_json::{Map, Value};

use super::{Calls, Command, other_call};
use crate::domain::{Finding, Reply, Timing, fingerprint};

impl Calls {
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
}
