use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::hints::{self, Hints};
use crate::load::{Answer, Arrivals, Caller, Offered, Outcome, Pool, Spread, offer};

/// What was accepted last begins within this time, or counts as never begun.
const BEGINS_WITHIN: Duration = Duration::from_secs(20);
/// Waits may be so many times as long as before the surge, and so many milliseconds longer, and still be normal.
const NORMAL: (f64, f64) = (2.0, 10.0);
/// A second is normal when no more than this part of its calls was not: the p99 of a calm time is beyond its own bound too.
const ABNORMAL_PART: f64 = 0.02;
/// So many normal seconds in a row end a surge.
const NORMAL_SECONDS: usize = 5;

/// A level of load, and what the workers did meanwhile.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) name: String,
    pub(super) begun: Instant,
    /// Calls that were planned.
    pub(super) planned: f64,
    /// Calls that were made, in the order in which they were sent.
    pub(super) answers: Vec<Answer>,
    /// How much later than planned.
    pub(super) late: Spread,
    /// Completions a second over the second half.
    pub(super) goodput: f64,
    /// The most that each watched process held in the second half.
    pub(super) memory_mib: Vec<(String, f64)>,
}

impl Level {
    /// Offers so many calls a second, for so long.
    pub(super) async fn offer(name: &str, caller: &Caller, pool: &Pool, per_second: f64, length: Duration) -> Self {
        let begun = Instant::now();
        let goodput = async {
            sleep(length / 2).await;
            let (from, before) = (Instant::now(), pool.completed());
            sleep(length / 2).await;
            (pool.completed() - before) as f64 / from.elapsed().as_secs_f64()
        };
        let arrivals = Arrivals::new(per_second, length);
        let (goodput, Offered { mut answers, late }) = tokio::join!(goodput, offer(arrivals, || caller.submit()));
        answers.sort_by_key(|answer| answer.sent);
        Self {
            name: name.to_owned(),
            begun,
            planned: per_second * length.as_secs_f64(),
            answers,
            late: late.into_iter().collect(),
            goodput,
            memory_mib: Vec::new(),
        }
    }

    /// Less than 1 means that the load itself was too slow.
    pub(super) fn offered_of_planned(&self) -> f64 {
        self.answers.len() as f64 / self.planned
    }

    /// Times of accepting answers.
    pub(super) fn accepted(&self) -> Spread {
        self.answers.iter().filter(|answer| answer.outcome == Outcome::Accepted).map(Answer::took).collect()
    }

    /// Times of refusals for want of room.
    pub(super) fn refused(&self) -> Spread {
        self.answers.iter().filter(|answer| matches!(answer.outcome, Outcome::Full(_))).map(Answer::took).collect()
    }

    /// Refusals that do not say when to come back.
    pub(super) fn without_hint(&self) -> usize {
        self.answers.iter().filter(|answer| answer.outcome == Outcome::Full(None)).count()
    }

    /// Answers that are neither an acceptance nor a refusal for want of room.
    pub(super) fn failed(&self) -> Vec<&str> {
        self.answers
            .iter()
            .filter_map(|answer| match &answer.outcome {
                Outcome::Failed(why) => Some(why.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Waits until all that was accepted has begun, for a bounded time.
    pub(super) async fn settled(self, pool: &Pool) -> Settled {
        let until = Instant::now() + BEGINS_WITHIN;
        let accepted = || self.answers.iter().filter(|answer| answer.outcome == Outcome::Accepted);
        while Instant::now() < until && accepted().any(|answer| pool.began(answer.number).is_none()) {
            sleep(Duration::from_millis(100)).await;
        }
        let wait = |answer: &Answer| Some(pool.began(answer.number)?.saturating_duration_since(answer.answered));
        let waits = accepted().map(|answer| (answer.sent, wait(answer))).collect();
        Settled { level: self, waits }
    }
}

/// A level of which it is known when each accepted invocation began.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) level: Level,
    /// When each was sent, and how long it waited from its acknowledgement until its work began.
    waits: Vec<(Instant, Option<Duration>)>,
}

impl Settled {
    /// From acknowledged to begun.
    pub(super) fn waits(&self) -> Spread {
        self.waits.iter().filter_map(|(_, wait)| *wait).collect()
    }

    /// Accepted, and not begun in a long time.
    pub(super) fn never_begun(&self) -> usize {
        self.waits.iter().filter(|(_, wait)| wait.is_none()).count()
    }

    /// What refusals promised, beside what was true.
    pub(super) fn hints(&self) -> Hints {
        let refusals = self.level.answers.iter().filter_map(|answer| match answer.outcome {
            Outcome::Full(Some(hint)) => Some((answer.sent, hint)),
            _ => None,
        });
        hints::judge(refusals, &self.waits)
    }

    /// Seconds from the beginning of this level until all is normal and stays so for a while: hardly any call of a second
    /// is refused, or waits longer than in calm. All of the level, where that does not come.
    pub(super) fn normal_after_s(&self, calm_wait_ms: f64) -> f64 {
        let normal = Duration::from_secs_f64((calm_wait_ms * NORMAL.0 + NORMAL.1) / 1e3);
        let calls = self.level.answers.iter().filter(|answer| answer.outcome != Outcome::Accepted);
        let refused = calls.map(|answer| (answer.sent, false));
        let accepted = self.waits.iter().map(|(sent, wait)| (*sent, wait.is_some_and(|wait| wait <= normal)));
        let mut seconds: Vec<(u32, u32)> = Vec::new();
        for (sent, is_normal) in refused.chain(accepted) {
            let second = (sent - self.level.begun).as_secs() as usize;
            seconds.resize(seconds.len().max(second + 1), (0, 0));
            seconds[second].0 += 1;
            seconds[second].1 += u32::from(!is_normal);
        }
        let normal = |(all, abnormal): &(u32, u32)| f64::from(*abnormal) <= f64::from(*all) * ABNORMAL_PART;
        let begins = seconds.windows(NORMAL_SECONDS).position(|seconds| seconds.iter().all(normal));
        begins.unwrap_or(seconds.len()) as f64
    }
}
