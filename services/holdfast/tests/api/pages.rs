//! Commands whose answer comes in parts: what is printed of it, and when they stop.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::harness::Place;
use crate::standin;

/// How long a command may go on after its reader has gone: it notices at its next line.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_when_nobody_reads_it_any_more() {
    let (place, address) = (Place::new(), standin::endless().await);
    for command in [["watch", "i-1"].as_slice(), &["list", "--limit", "1000000000"]] {
        let mut command = place.command(&[&["--address", &address], command].concat());
        let mut running = command.stdout(Stdio::piped()).spawn().expect("the executable runs");
        let mut out = BufReader::new(running.stdout.take().expect("piped"));
        let mut first = String::new();
        out.read_line(&mut first).await.expect("it says something");
        assert!(!first.is_empty());
        drop(out);

        let ended = tokio::time::timeout(PATIENCE, running.wait()).await.expect("it ends without a reader");
        assert_eq!(ended.expect("it can be waited for").code(), Some(0), "{command:?}");
    }
}

#[tokio::test]
async fn what_was_redriven_is_told_although_the_next_page_is_refused() {
    let (place, address) = (Place::new(), standin::endless().await);
    let ended = place.run(&["--address", &address, "redrive", "--state", "dead", "--limit", "5"]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.out.contains("i-1  redriven"), "{ended:?}");
    assert!(ended.err.contains("the key was taken back"), "{ended:?}");
}

#[tokio::test]
async fn a_wait_that_ends_early_names_what_goes_on() {
    let (place, address) = (Place::new(), standin::endless().await);
    let submit = ["submit", "disputes", "{}", "--deadline", "5s", "--wait"];
    let ended = place.run(&[&["--json", "--address", &address], submit.as_slice()].concat()).await;
    let document: Value = serde_json::from_str(&ended.err).expect("one JSON document");
    let error = &document["error"];
    assert_eq!((&error["reason"], &error["invocation_id"]), (&json!("UNAVAILABLE"), &json!("i-1")), "{ended:?}");
}

#[tokio::test]
async fn a_submission_comes_back_when_it_is_told_to_and_not_where_that_is_too_late() {
    let (place, address) = (Place::new(), standin::endless().await);
    let ended = place.run(&["--address", &address, "submit", "crowded", "{}"]).await;
    assert_eq!((ended.code, ended.out.contains("i-1")), (0, true), "{ended:?}");
    let ended = place.run(&["--address", &address, "submit", "full", "{}"]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("the queue is full; try again in 3600s"), "{ended:?}");
}
