//! Asking one tool: breaker, place, fence, request; and again, where the tool's effect and the budget allow.

use std::time::Duration;

use holdfast_resilience::Backoff;
use holdfast_rpc::deadline;
use tokio::time::{Instant, sleep};

use super::entry::Entry;
use super::{Call, Calls, Stop, told};
use crate::catalog::Tool;
use crate::circuits::{Held, Leave};
use crate::domain::{Answer, Effect, Miss, Slot, Timing};
use crate::upstream::{Heard, Outgoing};

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
            let pause = pause(&miss, attempt);
            let again =
                miss.passing && attempt < tool.attempts && pause < in_callers_time(tool) && tool.budget.withdraw();
            if !again {
                return Ok(Err(miss));
            }
            // Neither a place nor a permit is held meanwhile.
            sleep(pause).await;
            attempt += 1;
        }
    }
}

/// Until the next attempt: at random, but not before the tool wants to be asked again. A pause that the caller's time, or
/// the tool's own, is too short for is not made: the fallback answers instead.
fn pause(miss: &Miss, attempt: u32) -> Duration {
    BACKOFF.delay(attempt, &mut rand::rng()).max(miss.retry_after.unwrap_or_default())
}

async fn attempt_once(
    tool: &Tool,
    call: &Call,
    entry: &mut Option<Entry<'_>>,
    timing: &mut Timing,
) -> Result<Result<Answer, Miss>, Stop> {
    if let Some(held) = tool.guard.refusal() {
        return Ok(Err(open(held)));
    }
    let waiting = Instant::now();
    let place = told::in_line(&tool.name, tool.places.take(&call.tenant, deadline::remaining().map(in_time))).await;
    timing.waited += waiting.elapsed();
    let Some(_place) = place else { return Ok(Err(Miss::kept("OVERLOADED"))) };
    // The circuits may have opened while this call stood in line.
    let leave = match tool.guard.acquire().await {
        Ok(leave) => leave,
        Err(held) => return Ok(Err(open(held))),
    };
    send(tool, call, entry, timing, Watched::new(leave, tool)).await
}

/// Sends the request. A server that did not know the session has not looked at it: over the new session it is sent once
/// more, and the lease is looked at once more before.
async fn send(
    tool: &Tool,
    call: &Call,
    entry: &mut Option<Entry<'_>>,
    timing: &mut Timing,
    mut watched: Watched,
) -> Result<Result<Answer, Miss>, Stop> {
    let mut renewed = false;
    let answer = loop {
        let way = match tool.upstream.ready(Instant::now() + in_callers_time(tool)).await {
            Ok(way) => way,
            Err(miss) => break Err(miss),
        };
        if let Some(entry) = entry {
            // On the heap: what few calls need would make the future of each one large, and it is moved about.
            Box::pin(entry.vouch(tool.effect)).await?;
        }
        let ends = entry.as_ref().and_then(Entry::ends);
        let outgoing = outgoing(tool, call, ends);
        if outgoing.until <= Instant::now() {
            break Err(Miss::out_of_time());
        }
        let calling = watched.begins();
        timing.attempts += u32::from(!renewed);
        let heard = way.call(outgoing).await;
        timing.called += calling.elapsed();
        match heard {
            Err(miss) if miss.is_unknown_session() && !renewed => {
                watched.waits();
                renewed = true;
            }
            heard => break heard,
        }
    };
    if let Some(entry) = entry
        && answer.as_ref().map_or_else(|miss| miss.left, |_| true)
    {
        entry.leaves();
    }
    Ok(watched.judge(answer))
}

/// That of the tool, or that of its host.
fn open(held: Held) -> Miss {
    Miss::kept("CIRCUIT_OPEN").come_back_in(Some(held.retry_after))
}

fn outgoing<'a>(tool: &Tool, call: &'a Call, ends: Option<Instant>) -> Outgoing<'a> {
    let until = Instant::now() + time_for(tool, call);
    Outgoing {
        arguments: &call.arguments,
        idempotency_key: (tool.effect != Effect::ReadOnly).then_some(call.idempotency_key.as_str()),
        invocation: call.slot.as_ref().and_then(Slot::invocation),
        until: ends.map_or(until, |ends| ends.min(until)),
    }
}

/// How long a request may take: a recorded effectful one outlasts its caller.
fn time_for(tool: &Tool, call: &Call) -> Duration {
    if call.slot.is_some() && tool.effect == Effect::Effectful { tool.timeout } else { in_callers_time(tool) }
}

/// A caller who has less time than the tool may take gets the fallback in time, not just a passed deadline: the last
/// tenth of what is left is for that.
fn in_callers_time(tool: &Tool) -> Duration {
    deadline::remaining().map_or(tool.timeout, |left| tool.timeout.min(in_time(left)))
}

fn in_time(left: Duration) -> Duration {
    left / 10 * 9
}

/// The circuits' leave while the request is under way. Where the caller goes away, or has too little time, the tool is
/// judged only if it had a fair part of its own: else a hanging tool whose callers all give up early would never be
/// found out, or a few hasty callers would open the circuit for everybody.
struct Watched {
    leave: Option<Leave>,
    /// None while something else is waited for.
    since: Option<Instant>,
    fair: Duration,
}

impl Watched {
    fn new(leave: Leave, tool: &Tool) -> Self {
        Self { leave: Some(leave), since: None, fair: tool.upstream.patience() / 2 }
    }

    /// The request is sent now: nothing before it is held against the tool.
    fn begins(&mut self) -> Instant {
        if let Some(leave) = &mut self.leave {
            leave.begins_now();
        }
        *self.since.insert(Instant::now())
    }

    fn waits(&mut self) {
        self.since = None;
    }

    fn judge(self, heard: Result<Heard, Miss>) -> Result<Answer, Miss> {
        match heard {
            Ok(heard) => {
                self.answered(heard.healthy);
                let Heard { outcome, content, content_type, .. } = heard;
                Ok(Answer::said(outcome, content, content_type))
            }
            Err(miss) => Err(self.missed(miss)),
        }
    }

    fn answered(mut self, healthy: bool) {
        match self.leave.take() {
            Some(leave) if healthy => leave.success(),
            Some(leave) => leave.failure(false),
            None => {}
        }
    }

    fn missed(mut self, miss: Miss) -> Miss {
        match self.leave.take() {
            // Neither for it nor against it.
            Some(leave) if miss.is_ours() => drop(leave),
            // Such as an answer that is too large: it is an answer.
            Some(leave) if miss.healthy => leave.success(),
            Some(leave) if miss.is_timeout() => self.leave = Some(leave),
            Some(leave) if miss.is_silence() => leave.silence(),
            Some(leave) => leave.failure(miss.host_failed),
            None => {}
        }
        miss
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(leave) = self.leave.take()
            && self.since.is_some_and(|since| since.elapsed() >= self.fair)
        {
            leave.silence();
        }
    }
}
