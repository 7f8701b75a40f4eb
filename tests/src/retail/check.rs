//! Compares what a case did with what was recorded of it.

use std::collections::BTreeMap;

use holdfast_proto::queue::v1::Invocation;
use holdfast_proto::state::v1::Record;
use holdfast_sdk::Client;
use serde_json::Value;

use super::desk::changes_records;
use super::ledger::{kind_and_id, text};
use super::view::View;
use super::{Case, Ledger, Records, apply, cases::same_result};

/// Every difference between a case as it was done and as it was recorded.
pub async fn everything(
    client: &Client,
    ledger: &Ledger,
    case: &Case,
    name: &str,
    ended: &Invocation,
    base: &Records,
) -> Vec<String> {
    let own = match ledger.all(name).await {
        Ok(own) => own,
        Err(status) => return vec![format!("its records cannot be read: {status}")],
    };
    let mut wrong = records(case, &own, base);
    wrong.extend(effects(case, &own, base));
    wrong.extend(super::steps::results(client, case, &ended.id).await);
    wrong
}

/// Changed records: exactly the recorded ones, whole.
fn records(case: &Case, own: &[Record], base: &Records) -> Vec<String> {
    let written = own.iter().filter_map(|record| {
        let value = serde_json::from_str(&text(record.clone())).unwrap_or(Value::Null);
        Some((kind_and_id(record)?, value))
    });
    let changed = base.differing(written);
    if changed == case.changed { Vec::new() } else { vec![format!("its records are {changed:?}")] }
}

/// Effects: each record was written as often as the case's actions write it, once each, and each action that may change
/// something was settled once.
fn effects(case: &Case, own: &[Record], base: &Records) -> Vec<String> {
    let mut expected = BTreeMap::<_, u64>::new();
    let mut view: View = base.view();
    for action in &case.actions {
        apply(&action.name, &action.arguments, &mut view).expect("the view lacks nothing");
        for key in view.take_changed().into_keys() {
            *expected.entry(key).or_default() += 1;
        }
    }
    let written: BTreeMap<_, _> = own.iter().filter_map(|one| Some((kind_and_id(one)?, one.revision))).collect();
    let answers = own.len() - written.len();
    let settled = case.actions.iter().filter(|action| changes_records(&action.name)).count();
    let mut wrong = Vec::new();
    if written != expected {
        wrong.push(format!("its records were written {written:?} times, not {expected:?}"));
    }
    if answers != settled {
        wrong.push(format!("{answers} calls were settled, not {settled}"));
    }
    wrong
}

/// Results: those of a list of tool answers, in the order of the actions.
pub fn results(case: &Case, answers: &[String]) -> Vec<String> {
    if answers.len() != case.actions.len() {
        return vec![format!("{} tool results, not {}", answers.len(), case.actions.len())];
    }
    let pairs = case.actions.iter().zip(answers);
    let differ = pairs.filter(|(action, answer)| !same_result(&action.result, answer));
    differ.map(|(action, answer)| format!("{} said {answer}, not {}", action.name, action.result)).collect()
}
