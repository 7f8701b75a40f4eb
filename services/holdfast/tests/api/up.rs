use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use holdfast_testkit::Signal;
use serde_json::Value;
use tokio::time::{Instant, interval};

use crate::harness::{Place, Up, end, free_ports, is_alive, takes_huge_pages};

const SERVICES: [&str; 7] = ["gateway", "queue", "state", "tool-proxy", "llm-proxy", "agent", "simulator"];

/// Looks until nobody of them is alive; what ends by itself needs no longer.
async fn all_end(pids: &[u32]) {
    let until = Instant::now() + Duration::from_secs(15);
    let mut looks = interval(Duration::from_millis(50));
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(
            Instant::now() < until,
            "still alive: {:?}",
            pids.iter().filter(|pid| is_alive(**pid)).collect::<Vec<_>>()
        );
        looks.tick().await;
    }
}

async fn all_ready(place: &Place) -> Up {
    let mut up = place.up(&[]);
    up.event("all_ready", None).await;
    up
}

#[tokio::test]
async fn every_service_is_a_process_that_says_when_it_is_ready_and_goes_when_it_is_told() {
    let place = Place::new();
    let mut up = place.up(&[]);
    let opening = up.event("starting", None).await;
    assert!(opening["configuration"].as_str().is_some_and(|text| text.contains("SIMULATED")), "{opening}");
    let mut ready: Vec<String> = Vec::new();
    while ready.len() < SERVICES.len() {
        let service = up.event("ready", None).await["service"].as_str().expect("it is named").to_owned();
        ready.push(service);
    }
    ready.sort_unstable();
    let mut wanted = SERVICES.to_vec();
    wanted.sort_unstable();
    assert_eq!(ready, wanted);
    up.event("all_ready", None).await;

    let pids = up.services();
    assert_eq!(pids.len(), SERVICES.len(), "a process each");
    assert!(!pids.iter().any(|pid| takes_huge_pages(*pid)), "none stands still for a huge page");
    up.signal(Signal::Interrupt).await;
    up.event("draining", None).await;
    assert_eq!(up.end().await, 0);
    all_end(&pids).await;
    assert!(place.path().join("holdfast-data").is_dir(), "the data stays");
}

#[tokio::test]
async fn the_demonstration_answers_and_its_record_survives_a_restart() {
    let place = Place::new();
    let up = all_ready(&place).await;
    let input = r#"{"customer_id":"C-1001","message":"I did not make this payment"}"#;
    let address = up.gateway();
    let ended = place.run(&["--json", "--address", &address, "submit", "disputes", input, "--wait"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let document: Value = serde_json::from_str(&ended.out).expect("one JSON document");
    assert_eq!(document["state"], "succeeded", "{document}");
    assert_eq!(document["result"]["decision"], "refund", "{document}");
    up.signal(Signal::Terminate).await;
    assert_eq!(up.end().await, 0);

    let up = all_ready(&place).await;
    let id = document["id"].as_str().expect("an id");
    let ended = place.run(&["--json", "--address", &up.gateway(), "get", id]).await;
    let again: Value = serde_json::from_str(&ended.out).expect("one JSON document");
    assert_eq!(again["result"], document["result"]);
    let ended = place.run(&["--json", "--address", &up.gateway(), "list", "--state", "succeeded"]).await;
    assert!(ended.out.contains(id), "{ended:?}");
    let ended = place.run(&["--json", "--address", &up.gateway(), "watch", id]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let ended = place.run(&["--address", &up.gateway(), "circuits"]).await;
    assert!(ended.code == 0 && ended.out.contains("lookup_customer") && ended.out.contains("closed"), "{ended:?}");
}

#[tokio::test]
async fn what_the_mesh_refuses_is_three_and_a_failed_invocation_one() {
    let place = Place::new();
    let up = all_ready(&place).await;
    let address = up.gateway();
    let ended = place.run(&["--address", &address, "submit", "dispute", "{}"]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("disputes") && ended.err.contains("extra_agents"), "{ended:?}");
    let ended = place.run(&["--address", &address, "get", "01920000-0000-7000-8000-000000000000"]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    // Nobody runs `echo` here: its deadline ends it.
    let ended =
        place.run(&["--json", "--address", &address, "submit", "echo", "{}", "--wait", "--deadline", "500ms"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let document: Value = serde_json::from_str(&ended.out).expect("one JSON document");
    assert_eq!(document["state"], "failed", "{document}");
}

#[tokio::test]
async fn a_service_that_dies_is_started_again_and_the_reason_is_told() {
    let place = Place::new();
    let mut up = all_ready(&place).await;
    let queue = up.service("queue");
    Signal::Kill.send(queue).await;
    let died = up.event("died", Some("queue")).await;
    assert_eq!(died["how"], "killed by signal 9");
    up.event("ready", Some("queue")).await;
    assert_ne!(up.service("queue"), queue);
}

#[tokio::test]
async fn when_up_is_killed_its_services_end_and_the_data_can_be_used_again() {
    let place = Place::new();
    let up = all_ready(&place).await;
    let pids = up.services();
    up.signal(Signal::Kill).await;
    up.end().await;
    all_end(&pids).await;
    all_ready(&place).await;
}

#[tokio::test]
async fn a_second_up_on_the_same_data_is_refused_with_the_way_out() {
    let place = Place::new();
    let up = all_ready(&place).await;
    let ended = place.run(&["up", "--port-base", &free_ports().to_string()]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("in use by another `holdfast up`") && ended.err.contains("--data"), "{ended:?}");
    assert!(ended.err.contains(&up.pid().to_string()), "it is named: {ended:?}");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_service_and_the_way_out() {
    let place = Place::new();
    let base = free_ports();
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, base + 2)).expect("it was free");
    let ended = place.run(&["up", "--port-base", &base.to_string()]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    let named = format!("the state cannot listen on 127.0.0.1:{}", base + 2);
    assert!(ended.err.contains(&named) && ended.err.contains("--port-base"), "{ended:?}");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_is_refused_with_the_way_out() {
    let place = Place::new();
    let blocked = place.file("file", "").join("data");
    let ended = place.run(&["up", "--data", &blocked.display().to_string()]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains(&blocked.display().to_string()) && ended.err.contains("--data"), "{ended:?}");
}

#[tokio::test]
async fn a_service_alone_says_which_port_is_taken() {
    let place = Place::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let mut command = place.command(&["state"]);
    command.env("HOLDFAST_STATE__ADDRESS", &address);
    let ended = end(command).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains(&format!("cannot listen on {address}")), "{ended:?}");
}
