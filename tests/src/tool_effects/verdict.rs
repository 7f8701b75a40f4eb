//! What every call came to, set against what its tool did.

use std::collections::HashMap;

use holdfast_proto::tool::v1::{CallToolResponse, Outcome};
use serde_json::Value;

use super::Report;
use super::script::Script;
use super::tool::{Effects, Place};
use super::worker::Told;

pub(super) fn judge(seed: u64, script: &Script, told: &Told, effects: &HashMap<Place, Effects>, report: &mut Report) {
    report.worker_kills += told.killed;
    report.zombies += told.zombies;
    report.fenced += told.fenced.len() as u64;
    told.fenced.iter().for_each(|tool| report.count(tool, "FENCED"));
    report.broken.extend(told.strange.iter().map(|strange| format!("seed {seed}: {strange}")));
    for (place, call) in script.places() {
        let answers = told.answers.get(&place).map_or(&[][..], Vec::as_slice);
        let did = &effects[&place];
        report.calls += 1;
        report.answers += answers.len() as u64;
        report.answers_lost += u64::from(did.unanswered);
        if let Some(last) = answers.last() {
            report.count(call.tool, last.outcome().as_str_name());
        }
        if let Err(why) = fits(call.tool, answers, did) {
            let outcomes: Vec<_> = answers.iter().map(|answer| (answer.outcome(), answer.replayed)).collect();
            report.broken.push(format!(
                "seed {seed}: {why}: step {} of {} at {}, {:?}, {:?}; the tool: {did:?}; told: {outcomes:?}",
                place.1, place.0, call.tool, call.fate, script.kill,
            ));
        }
    }
}

/// Whether the answers and what the tool did belong together.
fn fits(tool: &str, answers: &[CallToolResponse], did: &Effects) -> Result<(), String> {
    let last = answers.last().ok_or("nobody was answered")?;
    let same = |answer: &&CallToolResponse| (answer.outcome(), &answer.content) == (last.outcome(), &last.content);
    if let Some(other) = answers.iter().find(|answer| !same(answer)) {
        return Err(format!("repeats were told two things, {other:?} and {last:?}"));
    }
    if did.receipts.len() > 1 || did.keys.len() > 1 {
        return Err("it had its effect more than once, or under several keys".into());
    }
    match last.outcome() {
        Outcome::Real => {
            let content: Value = serde_json::from_slice(&last.content).map_err(|error| error.to_string())?;
            if content["receipt"].as_u64() != did.receipts.first().copied() {
                return Err(format!("the answer {content} is not the effect's"));
            }
        }
        other if tool == "once" => {
            return Err(format!("an idempotent call, which may be repeated, ended as {other:?}"));
        }
        Outcome::Unknown if !last.degraded_reason.is_empty() => {}
        Outcome::Unavailable if did.requests == 0 => {}
        other => return Err(format!("it may have left, and its caller was told {other:?}")),
    }
    if tool == "pay" && did.requests > 1 {
        return Err("it was sent more than once".into());
    }
    Ok(())
}
