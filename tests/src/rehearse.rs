//! `holdfast rehearse` as anybody runs it: a process, whose exit code and document are held to what is claimed of them.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Instant;

use holdfast_testkit::executable;
use serde_json::Value;
use tokio::process::Command;

use crate::load::{Findings, Size, telling};

/// The scenario that is played where none is named.
pub const DAY_FOUR: &str = "day-four";
/// What the protected side of that day never does.
const NEVER: [&str; 3] = ["lost_updates", "provider_429", "refusals_without_retry_after"];
const SUCCESS_MIN: f64 = 0.999;
const SECONDS_MAX: f64 = 600.0;

/// Plays a scenario; how far it is goes to standard error.
///
/// # Panics
/// Where the command cannot be started.
pub async fn run(scenario: &str, size: Size) -> Findings {
    let began = Instant::now();
    let mut command = Command::new(executable());
    command.args(["rehearse", scenario, "--json"]).args(size.of(None, Some("--quick")));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let rehearsal = command.spawn().expect("it starts");
    let output = rehearsal.wait_with_output().await.expect("it ends");
    let document = serde_json::from_slice(&output.stdout).unwrap_or_default();
    judge(&document, output.status.code(), began.elapsed().as_secs_f64(), size)
}

/// A document that has none of what is asked for breaks the proof.
fn judge(document: &Value, code: Option<i32>, seconds: f64, size: Size) -> Findings {
    let mut findings = Findings::default();
    // Who is killed has no code.
    findings.at_most("exit_code", code.map_or(f64::NAN, f64::from), 0.0);
    let (off, on) = (&document["off"], &document["on"]);
    let [ours, theirs] = [on, off].map(keys);
    findings.at_least("keys_of_both_sides", ours.intersection(&theirs).count() as f64, 1.0);
    findings.at_most("keys_of_one_side_alone", ours.symmetric_difference(&theirs).count() as f64, 0.0);
    let broken = named(document, "promises", "held");
    findings.at_most("broken_promises", broken.len() as f64, 0.0);
    findings.tell("success_rate_off", number(off, "success_rate"));
    if document["scenario"] != DAY_FOUR {
        findings.tell("success_rate", number(on, "success_rate"));
        findings.tell("seconds", seconds);
        return findings;
    }
    for key in NEVER {
        findings.tell(format!("{key}_off"), number(off, key));
        findings.at_most(key, number(on, key), 0.0);
    }
    // A short day has too few of everything.
    let (failures, unseen) = (document["failures"].as_array().map_or(0, Vec::len), named(document, "failures", "seen"));
    findings.at_least("failures_seen", (failures - unseen.len()) as f64, size.of(failures.max(4) as f64, 1.0));
    findings.at_least("success_rate", number(on, "success_rate"), size.of(SUCCESS_MIN, 0.0));
    findings.at_most("seconds", seconds, SECONDS_MAX);
    findings
}

fn keys(side: &Value) -> BTreeSet<&String> {
    side.as_object().map(|side| side.keys().collect()).unwrap_or_default()
}

/// A figure of a side; what nobody looked at is no number, and keeps no bound.
fn number(side: &Value, key: &str) -> f64 {
    side[key].as_f64().unwrap_or(f64::NAN)
}

/// What of a list is not so, told to whoever looks.
fn named<'a>(document: &'a Value, list: &str, so: &str) -> Vec<&'a Value> {
    let not: Vec<_> = document[list].as_array().into_iter().flatten().filter(|entry| entry[so] != true).collect();
    not.iter().for_each(|entry| telling(format!("not {so}: {}, {}", entry["name"], entry["detail"])));
    not
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        let side = |success: f64, bad: u32| json!({"success_rate": success, "lost_updates": bad, "provider_429": bad, "refusals_without_retry_after": bad});
        let failures = vec![json!({"name": "f", "seen": true, "detail": ""}); 6];
        let promises = [json!({"name": "p", "held": true, "detail": ""})];
        json!({
            "scenario": DAY_FOUR, "off": side(0.7, 9), "on": side(1.0, 0), "failures": failures, "promises": promises,
        })
    }

    fn holds(document: &Value, code: Option<i32>, seconds: f64) -> bool {
        judge(document, code, seconds, Size::Full).hold()
    }

    #[test]
    fn each_claim_breaks_the_proof_by_itself() {
        assert!(holds(&document(), Some(0), 500.0));
        for (code, seconds) in [(Some(1), 500.0), (None, 500.0), (Some(0), 601.0)] {
            assert!(!holds(&document(), code, seconds), "{code:?} after {seconds} s");
        }
        let never = NEVER.into_iter().flat_map(|key| [(key, json!(1)), (key, Value::Null)]);
        for (key, figure) in never.chain([("success_rate", json!(0.998)), ("of_this_side_alone", json!(0))]) {
            let mut document = document();
            document["on"][key] = figure;
            assert!(!holds(&document, Some(0), 500.0), "{key}");
        }
        let wrongs = [
            ("/failures/5/seen", json!(false)),
            ("/failures", json!([])),
            ("/promises/0/held", json!(false)),
            ("/off", Value::Null),
            ("", Value::Null),
        ];
        for (place, wrong) in wrongs {
            let mut document = document();
            *document.pointer_mut(place).expect("it is there") = wrong;
            assert!(!holds(&document, Some(0), 500.0), "{place}");
        }
    }
}
