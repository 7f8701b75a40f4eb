//! `holdfast circuits` against a mesh.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::harness::Place;

#[tokio::test]
async fn a_circuit_is_set_by_hand_and_whoever_watches_sees_each_change_with_its_reason() {
    let place = Place::new();
    let mut up = place.up(&[]);
    up.event("all_ready", None).await;
    let address = up.gateway();
    let mut watching = place.command(&["--json", "--address", &address, "circuits", "--watch"]);
    let mut watching = watching.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(watching.stdout.take().expect("its output")).lines();
    let mut told = async |mode: &str| loop {
        let line = lines.next_line().await.expect("it can be read").expect("it goes on");
        let circuit: Value = serde_json::from_str(&line).expect("one document per line");
        if circuit["tool"] == "lookup_customer" && circuit["mode"] == mode {
            return circuit;
        }
    };
    assert_eq!(told("auto").await["state"], "closed");

    for (word, mode, state) in [("open", "open", "open"), ("close", "closed", "closed"), ("auto", "auto", "closed")] {
        let set = ["--address", &address, "circuits", "set", "lookup_customer", word, "--reason", "a rehearsal"];
        let ended = place.run(&set).await;
        assert!(ended.code == 0 && ended.out.contains(state), "{ended:?}");
        let circuit = told(mode).await;
        assert_eq!((circuit["state"].as_str(), circuit["set_reason"].as_str()), (Some(state), Some("a rehearsal")));
        assert!(circuit["reason"].as_str().is_some_and(|reason| reason.ends_with(": a rehearsal")), "{circuit}");
    }
    let ended = place.run(&["--address", &address, "circuits", "set", "no_such", "open"]).await;
    assert!(ended.code == 3 && ended.err.contains("no_such"), "{ended:?}");
}
