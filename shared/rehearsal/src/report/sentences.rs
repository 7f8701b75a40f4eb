//! What happened, in words: a headline, and one sentence for each side.

use super::numbers::{count, share, span};
use crate::Outcome;
use crate::outcome::Side;

/// The whole rehearsal in a sentence.
pub(super) fn headline(outcome: &Outcome) -> String {
    let on = &outcome.on;
    match &outcome.off {
        Some(off) => format!(
            "Protected, {} of {} succeeded; as a pilot is built, {}.",
            share(on.success_rate),
            things(on.offered, "invocation"),
            share(off.success_rate),
        ),
        None => format!("{} of {} succeeded.", share(on.success_rate), things(on.offered, "invocation")),
    }
}

/// What became of the promises.
pub(super) fn verdict(outcome: &Outcome) -> String {
    let broken: Vec<_> =
        outcome.promises.iter().filter(|promise| !promise.held).map(|promise| &*promise.name).collect();
    match (broken.len(), outcome.promises.len()) {
        (_, 0) => "Nothing was promised.".into(),
        (0, 1) => "The promise held.".into(),
        (0, all) => format!("All {all} promises held."),
        (1, all) => format!("1 of {all} promises is broken: {}.", list(&broken)),
        (several, all) => format!("{several} of {all} promises are broken: {}.", list(&broken)),
    }
}

/// One side in a sentence.
pub(super) fn side(side: &Side) -> String {
    if side.offered == 0 {
        return "Nothing was offered.".into();
    }
    let lead = match (side.succeeded, side.offered) {
        (all, offered) if all == offered => format!("All of {} succeeded", things(offered, "invocation")),
        (some, offered) => format!("{} of {} succeeded", count(some), things(offered, "invocation")),
    };
    let degraded = match side.degraded {
        None | Some(0) => String::new(),
        Some(some) => format!(", {} with a fallback’s answer", count(some)),
    };
    let harm = list(&harm(side));
    // Of what nobody looked at nothing is said.
    let peace = match side.lost_updates {
        Some(_) => "no update was lost, and the provider refused nothing",
        None => "the provider refused nothing",
    };
    match (harm.is_empty(), side.lost_updates.unwrap_or_default() + side.provider_429 == 0) {
        (true, _) => format!("{lead}{degraded}; {peace}."),
        (false, true) => format!("{lead}{degraded}; {harm}; {peace}."),
        (false, false) => format!("{lead}{degraded}; {harm}."),
    }
}

/// What went wrong.
fn harm(side: &Side) -> Vec<String> {
    let stalled = side.stalled_worker_seconds.unwrap_or_default();
    let (lost, wrong) = (side.lost_updates.unwrap_or_default(), side.wrong_answers.unwrap_or_default());
    let told = [
        (side.failed, format!("{} failed", count(side.failed))),
        (side.expired, format!("{} came too late", count(side.expired))),
        (side.refused, format!("{} never got in", count(side.refused))),
        (lost, format!("{} lost without a word", were(lost, "update"))),
        (wrong, format!("{} wrong", were(wrong, "answer"))),
        (side.provider_429, format!("the provider refused {}", things(side.provider_429, "call"))),
        (stalled.ceil() as u64, format!("workers stood {} in a tool that hung", span(stalled * 1e3))),
        (
            side.refusals_without_retry_after,
            format!("{} did not say when to come back", things(side.refusals_without_retry_after, "refusal")),
        ),
    ];
    told.into_iter().filter(|(times, _)| *times > 0).map(|(_, text)| text).collect()
}

fn things(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", count(number))
}

fn were(number: u64, thing: &str) -> String {
    format!("{} {}", things(number, thing), if number == 1 { "was" } else { "were" })
}

/// `a, b and c`.
fn list(parts: &[impl AsRef<str>]) -> String {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    match &parts[..] {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        few => few.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_without_harm_says_that_there_was_none() {
        let calm =
            Side { offered: 12_000, succeeded: 12_000, degraded: Some(240), lost_updates: Some(0), ..Side::default() };
        let said = "All of 12,000 invocations succeeded, 240 with a fallback’s answer; no update was lost, and the provider \
                    refused nothing.";
        assert_eq!(side(&calm), said);
    }

    #[test]
    fn a_side_with_harm_names_each_and_no_other() {
        let hurt =
            Side { offered: 100, succeeded: 70, expired: 29, failed: 1, lost_updates: Some(1), ..Side::default() };
        let said = "70 of 100 invocations succeeded; 1 failed, 29 came too late and 1 update was lost without a word.";
        assert_eq!(side(&hurt), said);
    }

    #[test]
    fn what_was_kept_is_said_beside_what_went_wrong() {
        let late = Side { offered: 100, succeeded: 99, expired: 1, lost_updates: Some(0), ..Side::default() };
        let said =
            "99 of 100 invocations succeeded; 1 came too late; no update was lost, and the provider refused nothing.";
        assert_eq!(side(&late), said);
    }

    #[test]
    fn nothing_is_said_of_what_nobody_looked_at() {
        let own = Side { offered: 100, succeeded: 100, ..Side::default() };
        assert_eq!(side(&own), "All of 100 invocations succeeded; the provider refused nothing.");
    }

    #[test]
    fn nothing_offered_is_said_so() {
        assert_eq!(side(&Side::default()), "Nothing was offered.");
    }
}
