//! Asking one tool: breaker, place, fence, request; and again, where the tool's effect and the budget allow.

use std::time::Duration;

use holdfast_resilience::{Backoff, Permit};
use holdfast_rpc::deadline;
use tokio::time::{Instant, sleep};

use super::entry::Entry;
use super::{Call, Calls, Stop};
use crate::catalog::Tool;
use crate::domain::{Answer, Effect, Miss, Slot, Timing, Verdict, healthy, judge};
use crate::upstream::{Incoming, Outgoing};

/// Between the attempts of one call.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(1));

impl Calls {
    /// The tool's own answer, or why there is none. Requests stay within the budget's share of the calls.
    pub(super) async fn ask(
        &self,
        tool: &Tool,
        call: &Call,
        entry: &mut Option<Entry<'_>>,
        timing: &mut Timing,
    ) -> Result<Result<Answer, Miss>, Stop> {
        tool.budget.deposit();
        let mut attempt = 1;
        loop {
            let miss = match attempt_once(tool, call, entry, timing).await? {
                Ok(answer) => return Ok(Ok(answer)),
                Err(miss) => miss,
            };
            let delay = BACKOFF.delay(attempt, &mut rand::rng());
            let time_left = deadline::remaining().is_none_or(|left| left > delay);
            let again = miss.passing && attempt < tool.attempts && time_left && tool.budget.withdraw();
            if !again {
                return Ok(Err(miss));
            }
            sleep(delay).await;
            attempt += 1;
        }
    }
}

async fn attempt_once(
    tool: &Tool,
    call: &Call,
    entry: &mut Option<Entry<'_>>,
    timing: &mut Timing,
) -> Result<Result<Answer, Miss>, Stop> {
    let open = || Ok(Err(Miss::kept("CIRCUIT_OPEN")));
    if tool.breaker.refusal().is_some() {
        return open();
    }
    let waiting = Instant::now();
    let place = tool.places.take().await;
    timing.waited += waiting.elapsed();
    let Some(_place) = place else { return Ok(Err(Miss::kept("OVERLOADED"))) };
    // The circuit may have opened while this call stood in line.
    let Ok(permit) = tool.breaker.acquire() else { return open() };
    if let Some(entry) = entry {
        entry.vouch(tool.effect).await?;
    }
    let (calling, watched) = (Instant::now(), Watched::new(permit, tool));
    timing.attempts += 1;
    let answer = request(tool, call, watched).await;
    timing.called += calling.elapsed();
    Ok(answer)
}

async fn request(tool: &Tool, call: &Call, watched: Watched) -> Result<Answer, Miss> {
    let outgoing = Outgoing {
        arguments: &call.arguments,
        idempotency_key: (tool.effect != Effect::ReadOnly).then_some(call.idempotency_key.as_str()),
        invocation: call.slot.as_ref().and_then(Slot::invocation),
        until: Instant::now() + time_for(tool),
    };
    let incoming = match tool.upstream.send(outgoing).await {
        Ok(incoming) => incoming,
        Err(miss) => return Err(watched.missed(miss)),
    };
    match judge(incoming.status, tool.effect) {
        Verdict::Failed(miss) => Err(watched.missed(miss)),
        Verdict::Answered(outcome) => {
            let (status, content_type) = (incoming.status, content_type(&incoming));
            match incoming.body().await {
                Ok(content) => {
                    watched.answered(status);
                    Ok(Answer { outcome, content, content_type, reason: String::new(), age: None })
                }
                Err(miss) => Err(watched.missed(miss)),
            }
        }
    }
}

/// A caller who has less time than the tool may take gets the fallback in time, not just a passed deadline: the last
/// tenth of what is left is for that.
fn time_for(tool: &Tool) -> Duration {
    deadline::remaining().map_or(tool.timeout, |left| tool.timeout.min(left / 10 * 9))
}

fn content_type(incoming: &Incoming) -> String {
    incoming.content_type.clone().unwrap_or_else(|| "application/json".into())
}

/// A breaker's permit while the request is under way. Where the caller goes away, or has too little time, the tool is
/// judged only if it had a fair part of its own: else a hanging tool whose callers all give up early would never be
/// found out, or a few hasty callers would open the circuit for everybody.
struct Watched {
    permit: Option<Permit>,
    since: Instant,
    fair: Duration,
}

impl Watched {
    fn new(permit: Permit, tool: &Tool) -> Self {
        Self { permit: Some(permit), since: Instant::now(), fair: tool.upstream.patience() / 2 }
    }

    fn answered(mut self, status: u16) {
        match self.permit.take() {
            Some(permit) if healthy(status) => permit.success(),
            Some(permit) => permit.failure(),
            None => {}
        }
    }

    fn missed(mut self, miss: Miss) -> Miss {
        match self.permit.take() {
            // An answer that is too large is an answer.
            Some(permit) if !miss.passing => permit.success(),
            Some(permit) if miss.is_timeout() => self.permit = Some(permit),
            Some(permit) => permit.failure(),
            None => {}
        }
        miss
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.since.elapsed() >= self.fair
        {
            permit.failure();
        }
    }
}
