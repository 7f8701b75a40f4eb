//! `surge` and `noisy-tenant`, shorter than their short forms: by structure, and by counts that hold at any pace.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::rehearse::{adds_up, brief, count, document, home, played, rehearse, said};

const SURGE: &str = include_str!("../../shared/rehearsal/scenarios/surge.toml");
const NOISY_TENANT: &str = include_str!("../../shared/rehearsal/scenarios/noisy-tenant.toml");
/// What is asked for beyond them has to wait.
const WORKERS: u64 = 10;

/// Plays a scenario with other words in it, each of which was there.
async fn played_with(home: &Path, scenario: &str, changes: &[(&str, &str)]) -> (Value, Option<i32>, Output) {
    let text = changes.iter().fold(scenario.to_owned(), |text, (from, into)| {
        assert!(text.contains(from), "{from} is not in it");
        text.replace(from, into)
    });
    std::fs::write(home.join("scenario.toml"), text).expect("it is written");
    let (code, output) = played(rehearse(home, &["scenario.toml", "--quick"])).await;
    (document(&output), code, output)
}

/// What holds of each rehearsal, whatever came of it.
fn holds_together(document: &Value, code: Option<i32>, output: &Output) {
    let (off, on) = (&document["off"], &document["on"]);
    let keys = |side: &Value| side.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(off), keys(on));
    [off, on].into_iter().for_each(adds_up);
    assert_eq!(count(off, "offered"), count(on, "offered"), "the same callers come to both");
    assert_eq!(count(off, "refusals"), 0, "a pilot never says no: {}", brief(off));
    for key in ["lost_updates", "wrong_answers", "provider_429", "refusals_without_retry_after"] {
        assert_eq!(count(on, key), 0, "{key}: {}", brief(on));
    }
    let promises = document["promises"].as_array().expect("a list");
    assert!(!promises.is_empty());
    let kept = promises.iter().all(|promise| promise["held"] == true);
    assert_eq!(code, Some(if kept { 0 } else { 1 }), "{}: {}", document["promises"], said(output));
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().unwrap_or_else(|| panic!("{key} is no list in {of}"))
}

/// How often somebody was told to come back; and never without saying when.
fn refusals(part: &Value) -> u64 {
    assert_eq!(count(part, "refusals_without_retry_after"), 0, "{part}");
    count(part, "refusals")
}

#[tokio::test]
async fn a_surge_is_told_to_come_back_where_it_is_protected_from_and_queued_where_not() {
    let home = home();
    let shorter =
        [("quick = \"45s\"", "quick = \"12s\""), ("quick = \"150s\"", "quick = \"48s\""), ("factor = 4", "factor = 8")];
    let (document, code, output) = played_with(home.path(), SURGE, &shorter).await;
    holds_together(&document, code, &output);
    for side in [&document["off"], &document["on"]] {
        let parts: Vec<_> =
            list(side, "parts").iter().map(|part| (part["phase"].clone(), count(part, "offered"))).collect();
        let planned = [("calm", 6), ("full", 17), ("surge", 99), ("settling", 25), ("calm again", 6)];
        assert_eq!(parts.len(), planned.len());
        assert_eq!(parts.iter().map(|(_, offered)| offered).sum::<u64>(), planned.iter().map(|(_, n)| n).sum::<u64>());
        assert!(parts.iter().zip(planned).all(|((phase, _), (wanted, _))| phase == wanted), "{parts:?}");
        assert_eq!(list(side, "tenants").len(), 0);
    }
    let on = &document["on"];
    // 99 come while 40 may wait and 10 are worked on, each for longer than half of the surge.
    let surge = &list(on, "parts")[2];
    assert!(refusals(surge) > 0, "{}", brief(on));
    assert_eq!(list(on, "parts").iter().map(refusals).sum::<u64>(), refusals(on));
    assert!(count(on, "depth_max") <= 40 + WORKERS, "the line is as long as it may be: {}", brief(on));
    assert!(count(on, "succeeded") > 0, "{}", brief(on));
}

#[tokio::test]
async fn a_tenant_that_floods_is_told_to_come_back_and_the_others_never_are() {
    let home = home();
    let shorter =
        [("quick = \"60s\"", "quick = \"24s\""), ("quick = \"150s\"", "quick = \"48s\""), ("factor = 4", "factor = 8")];
    let (document, code, output) = played_with(home.path(), NOISY_TENANT, &shorter).await;
    holds_together(&document, code, &output);
    for side in [&document["off"], &document["on"]] {
        let names: Vec<_> = list(side, "tenants").iter().map(|tenant| tenant["tenant"].clone()).collect();
        assert_eq!(names, ["desk", "shop", "claims", "crawler"]);
        for key in ["offered", "succeeded", "refusals"] {
            let whole = |tenant: &Value| count(&tenant["whole"], key);
            let sum: u64 = list(side, "tenants").iter().map(whole).sum();
            assert_eq!(sum, count(side, key), "{key}: {}", brief(side));
        }
        for tenant in list(side, "tenants") {
            assert_eq!(list(tenant, "parts").len(), list(side, "parts").len());
        }
    }
    let tenants = list(&document["on"], "tenants");
    let flood = |tenant: &Value| list(tenant, "parts")[1].clone();
    let crawler = flood(&tenants[3]);
    assert_eq!((crawler["phase"].as_str(), count(&crawler, "offered")), (Some("flood"), 250));
    // 12 of its may wait, and all workers together work on 10.
    assert!(refusals(&crawler) > 0, "{crawler}");
    for quiet in &tenants[..3] {
        assert_eq!((count(&flood(quiet), "offered"), refusals(&quiet["whole"])), (3, 0), "{quiet}");
    }
}
