//! What a caller gets while the tool does not answer.

use std::sync::Arc;
use std::time::Instant;

use super::entry::Entry;
use super::{Call, Calls, Stop, told};
use crate::catalog::Tool;
use crate::config::Fallback;
use crate::domain::{Answer, Effect, Miss, Outcome, StandIn, Timing};
use crate::metrics;

/// How the agent shall go on where the configuration does not say.
const ADVICE: &str = "The tool does not answer now. Go on without it where that is possible, and say so in the answer.";

impl Calls {
    /// The tool's answer, or what stands in for it. Once an effectful call may have left, nothing may.
    pub(super) async fn perform(
        &self,
        call: &Call,
        entry: &mut Option<Entry<'_>>,
        timing: &mut Timing,
    ) -> Result<Answer, Stop> {
        let tool = &call.tool;
        let miss = match self.ask(tool, call, entry, timing).await? {
            Ok(answer) => {
                if let (Some(last_good), Outcome::Real) = (&tool.last_good, answer.outcome) {
                    last_good.keep(&call.tenant, &call.fingerprint, &answer, Instant::now());
                }
                return Ok(answer);
            }
            Err(miss) => miss,
        };
        if miss.left && tool.effect == Effect::Effectful {
            return Ok(Answer::unknown(&tool.name, &miss.reason));
        }
        let mut tried = Vec::new();
        for fallback in &tool.fallback {
            if let Some(answer) = self.stand_in(fallback, call, &miss, entry, timing).await? {
                return Ok(stood_in(tool, &tried, answer));
            }
            tried.push(link(fallback).to_string());
        }
        Ok(stood_in(tool, &tried, Answer::unavailable(&tool.name, &miss.reason, ADVICE)))
    }

    /// One link of the chain; `None` where it has nothing to say.
    async fn stand_in(
        &self,
        fallback: &Fallback,
        call: &Call,
        miss: &Miss,
        entry: &mut Option<Entry<'_>>,
        timing: &mut Timing,
    ) -> Result<Option<Answer>, Stop> {
        Ok(match fallback {
            Fallback::Fixed { answer } => {
                Some(Answer::made(Outcome::Degraded, answer, &miss.reason).by(StandIn::Fixed))
            }
            Fallback::Unavailable { advice } => Some(Answer::unavailable(&call.tool.name, &miss.reason, advice)),
            Fallback::LastGood { max_age } => {
                let last_good = call.tool.last_good.as_ref();
                let found =
                    last_good.and_then(|kept| kept.find(&call.tenant, &call.fingerprint, **max_age, Instant::now()));
                found.map(|(content, content_type, age)| Answer {
                    outcome: Outcome::Cached,
                    content,
                    content_type,
                    reason: miss.reason.clone(),
                    age: Some(age),
                    stand_in: Some(StandIn::LastGood),
                })
            }
            Fallback::Tool { name } => self.other_tool(name, call, miss, entry, timing).await?,
        })
    }

    /// Another tool with the same arguments, where whoever calls may use that one too. Its own fallbacks are not used: the
    /// chain goes on here.
    async fn other_tool(
        &self,
        name: &str,
        call: &Call,
        miss: &Miss,
        entry: &mut Option<Entry<'_>>,
        timing: &mut Timing,
    ) -> Result<Option<Answer>, Stop> {
        let fits = |other: &Arc<Tool>| {
            let takes = || other.schema.fits(&call.arguments) && other.upstream.accepts(&call.arguments).is_ok();
            // What a server tells of is known only here.
            other.effect <= call.tool.effect && other.permission.admits(&call.user) && takes()
        };
        let Some(other) = self.catalog.get(name).filter(fits) else { return Ok(None) };
        Ok(match self.ask(&other, call, entry, timing).await? {
            Ok(answer) if answer.outcome == Outcome::Real => {
                let answer = Answer { outcome: Outcome::Degraded, reason: miss.reason.clone(), ..answer };
                Some(answer.by(StandIn::Tool(name.to_owned())))
            }
            Err(lost) if lost.left && other.effect == Effect::Effectful => Some(Answer::unknown(name, &lost.reason)),
            _ => None,
        })
    }
}

/// Leaves word of what stood in. An outcome that is unknown is none: nothing may hide it.
fn stood_in(tool: &Tool, tried: &[String], answer: Answer) -> Answer {
    if let Some(stand_in) = &answer.stand_in {
        metrics::stood_in(&tool.name, stand_in, &answer.reason);
        told::stood_in(tool, tried, stand_in);
    }
    answer
}

fn link(fallback: &Fallback) -> StandIn {
    match fallback {
        Fallback::Fixed { .. } => StandIn::Fixed,
        Fallback::LastGood { .. } => StandIn::LastGood,
        Fallback::Tool { name } => StandIn::Tool(name.clone()),
        Fallback::Unavailable { .. } => StandIn::Unavailable,
    }
}
