//! `holdfast top` without a terminal; the view itself is tested beside its code, and driven in a real terminal by a proof.

use holdfast_testkit::Signal;
use serde_json::Value;

use crate::harness::{Place, free_ports};

async fn snapshot(place: &Place, arguments: &[&str]) -> (i32, Value) {
    let ended = place.run(&[arguments, &["--json", "top"]].concat()).await;
    let document = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    (ended.code, document)
}

fn named<'a>(document: &'a Value, list: &str, name: &str, value: &str) -> &'a Value {
    let list = document[list].as_array().unwrap_or_else(|| panic!("no {list} in {document}"));
    list.iter().find(|entry| entry[name] == value).unwrap_or_else(|| panic!("no {value} in {list:?}"))
}

#[tokio::test]
async fn one_snapshot_tells_of_everything_and_of_what_cannot_be_reached() {
    let place = Place::new();
    let mut up = place.up(&[]);
    up.event("all_ready", None).await;
    let (address, base) = (up.gateway(), up.base.to_string());
    let input = r#"{"customer_id":"C-1001","message":"I did not make this payment"}"#;
    let ended = place.run(&["--address", &address, "submit", "disputes", input, "--wait"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    for _ in 0..3 {
        assert_eq!(place.run(&["--address", &address, "submit", "echo", "{}"]).await.code, 0);
    }
    let set = ["--address", &address, "circuits", "set", "lookup_customer", "open", "--reason", "a test"];
    assert_eq!(place.run(&set).await.code, 0);

    let ended = place.run(&["--json", "top", "--port-base", &base]).await;
    let document: Value = serde_json::from_str(&ended.out).expect("one document");
    assert_eq!((ended.code, &document["troubles"]), (0, &Value::Array(Vec::new())), "{document}");
    for service in ["gateway", "queue", "state", "tool-proxy", "llm-proxy", "agent", "simulator"] {
        assert_eq!(named(&document, "services", "service", service)["health"], "serving");
    }
    assert_eq!(named(&document, "agents", "agent", "echo")["queued"], 3);
    let circuit = named(&document, "circuits", "circuit", "lookup_customer");
    assert_eq!((circuit["state"].as_str(), circuit["by_hand"].as_bool()), (Some("open"), Some(true)));
    assert_eq!(named(&document, "keys", "provider", "simulated")["health"], "KEY_HEALTH_WELL");
    assert!(named(&document, "tokens", "agent", "disputes")["input"].as_f64() > Some(0.0));
    assert!(document["state"]["latencies"].as_array().is_some_and(|latencies| !latencies.is_empty()), "{document}");
    assert_eq!(named(&document, "invocations", "agent", "disputes")["state"], "succeeded");

    // Of the gateway alone the others' addresses are not known: what goes through it is told all the same.
    let (code, alone) = snapshot(&place, &["--address", &address]).await;
    assert_eq!((code, alone["services"].as_array().map(Vec::len)), (0, Some(1)), "{alone}");
    assert_eq!(named(&alone, "agents", "agent", "echo")["queued"], 3);

    let text = place.run(&["top", "--once", "--port-base", &base]).await;
    assert!(text.code == 0 && text.out.contains("Circuits 1 open") && text.out.contains("OPEN"), "{text:?}");
    up.signal(Signal::Terminate).await;
    up.end().await;

    let ended = place.run(&["--json", "top", "--port-base", &base]).await;
    let document: Value = serde_json::from_str(&ended.out).expect("one document");
    assert_eq!((ended.code, &document["gateway_reached"], &document["agents"]), (3, &Value::Bool(false), &Value::Null));
    assert_eq!(named(&document, "services", "service", "queue")["health"], "unreached");
}

#[tokio::test]
async fn without_a_terminal_it_says_what_to_use_instead() {
    let port = free_ports().to_string();
    let ended = Place::new().run(&["top", "--port-base", &port]).await;
    assert!(ended.code == 2 && ended.err.contains("--once") && ended.err.contains("--json"), "{ended:?}");
}

#[tokio::test]
async fn a_key_that_may_not_ask_is_told_so_and_health_needs_none() {
    let place = Place::new();
    for role in ["caller", "operator"] {
        place.file(&format!("{role}.key"), &format!("the-key-of-the-{role}-in-this-test"));
    }
    let key = |role: &str| {
        format!("[[gateway.keys]]\nname = {role:?}\nkey = \"file:{role}.key\"\ntenant = \"shop\"\nrole = {role:?}\n")
    };
    place.file("holdfast.toml", &[key("caller"), key("operator")].concat());
    let mut up = place.up(&[]);
    up.event("all_ready", None).await;
    let base = up.base.to_string();
    let ask = async |key: &str| {
        let ended = place.run(&["--json", "--api-key", &format!("file:{key}.key"), "top", "--port-base", &base]).await;
        serde_json::from_str::<Value>(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    };

    let caller = ask("caller").await;
    let troubles = caller["troubles"].to_string();
    for what in ["depths", "circuits", "keys and limits"] {
        assert!(troubles.contains(&format!("{what}: the key may not see them")), "{troubles}");
    }
    assert_eq!((&caller["agents"], caller["invocations"].as_array().map(Vec::len)), (&Value::Null, Some(0)));
    assert_eq!(named(&caller, "services", "service", "state")["health"], "serving");
    let operator = ask("operator").await;
    assert_eq!(operator["troubles"], Value::Array(Vec::new()), "{operator}");
    up.signal(Signal::Terminate).await;
    up.end().await;
}
