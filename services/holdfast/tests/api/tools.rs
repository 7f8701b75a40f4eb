//! `holdfast tools`, on a mesh that `up` has started.

use holdfast_testkit::Signal;
use serde_json::{Value, json};

use crate::harness::{Ended, Place, Up};

/// Tools of the simulator: one is well, one is full of faults, one says of itself that it did not find.
const CONFIG: &str = r#"
[tools.well]
description = "Says what it was told."
url = "simulator:/tools/echo"
effect = "read_only"
fallback = [{ kind = "last_good", max_age = "1h" }, { kind = "unavailable", advice = "Go on." }]

[tools.ill]
url = "simulator:/tools/ill"
effect = "read_only"
attempts = 1
breaker = { consecutive_failures = 1, open = "1h", open_max = "1h" }
fallback = [{ kind = "fixed", answer = { stand = "in" } }]

[tools.pay]
url = "simulator:/tools/record_decision"
fallback = [{ kind = "tool", name = "well" }, { kind = "unavailable", advice = "Go on." }]

[simulator.tools.ill]
faults = { error_rate = 1.0 }
"#;

struct Desk {
    place: Place,
    up: Up,
}

impl Desk {
    async fn start() -> Self {
        let place = Place::new();
        place.file("holdfast.toml", CONFIG);
        let mut up = place.up(&[]);
        up.event("all_ready", None).await;
        Self { place, up }
    }

    /// At the first of the two addresses nobody is.
    async fn run(&self, words: &[&str]) -> Ended {
        let addresses = format!("http://127.0.0.1:1,{}", self.up.gateway());
        self.place.run(&[&["--address", &addresses, "tools"], words].concat()).await
    }

    /// What was printed, one document a line, and the exit code.
    async fn told(&self, words: &[&str]) -> (i32, Vec<Value>) {
        let ended = self.run(&[words, &["--json"]].concat()).await;
        let documents = ended.out.lines().map(|line| serde_json::from_str(line).expect("one document per line"));
        (ended.code, documents.collect())
    }

    async fn end(self) {
        self.up.signal(Signal::Terminate).await;
        assert_eq!(self.up.end().await, 0);
    }
}

#[tokio::test]
async fn tools_are_listed_with_effect_circuit_and_what_stands_in() {
    let desk = Desk::start().await;
    desk.told(&["call", "ill"]).await;
    let (code, tools) = desk.told(&["list"]).await;
    let told: Vec<_> = tools.iter().map(|tool| json!([tool["name"], tool["effect"], tool["circuit"]])).collect();
    let wanted = [
        json!(["ill", "read_only", "open"]),
        json!(["pay", "effectful", "closed"]),
        json!(["well", "read_only", "closed"]),
    ];
    assert_eq!((code, told), (0, wanted.to_vec()));
    assert_eq!(tools[2]["fallbacks"], json!(["last_good", "unavailable"]));
    assert_eq!(tools[1]["fallbacks"], json!(["tool", "unavailable"]));

    let (_, one) = desk.told(&["list", "pay"]).await;
    assert_eq!((one.len(), &one[0]["name"]), (1, &json!("pay")));
    let text = desk.run(&["list", "well"]).await.out;
    let words: Vec<_> = text.split_whitespace().take(6).collect();
    assert_eq!(words, ["well", "read_only", "closed", "last_good,", "then", "unavailable"], "{text}");
    desk.end().await;
}

#[tokio::test]
async fn a_call_tells_its_outcome_its_reason_and_what_it_took() {
    let desk = Desk::start().await;
    let (code, answers) = desk.told(&["call", "well", r#"{"n":1}"#]).await;
    assert_eq!((code, &answers[0]["outcome"], &answers[0]["content"]), (0, &json!("real"), &json!({"n": 1})));
    assert_eq!(answers[0]["timing"]["attempts"], 1);
    assert!(answers[0]["timing"]["called_ms"].as_f64().is_some_and(|span| span > 0.0), "{answers:?}");

    for reason in ["HTTP_500", "CIRCUIT_OPEN"] {
        let (code, answers) = desk.told(&["call", "ill", "{}"]).await;
        let told = (code, &answers[0]["outcome"], &answers[0]["reason"], &answers[0]["fallback"]);
        assert_eq!(told, (0, &json!("degraded"), &json!(reason), &json!("fixed")));
        assert_eq!(answers[0]["content"], json!({"stand": "in"}));
    }
    let text = desk.run(&["call", "ill"]).await.out;
    assert!(
        text.starts_with("degraded  CIRCUIT_OPEN  by fixed  waited ") && text.contains("\"stand\": \"in\""),
        "{text}"
    );

    let pay = ["call", "pay", r#"{"customer_id":"C-1001","decision":"refund"}"#, "--idempotency-key", "k-1"];
    let (code, first) = desk.told(&pay).await;
    assert_eq!((code, &first[0]["outcome"], &first[0]["replayed"]), (0, &json!("real"), &json!(false)));
    let (code, again) = desk.told(&pay).await;
    assert_eq!((code, &again[0]["content"], &again[0]["replayed"]), (0, &first[0]["content"], &json!(true)));

    let (code, answers) = desk.told(&["call", "pay", r#"{"customer_id":"C-9"}"#]).await;
    assert_eq!((code, &answers[0]["outcome"]), (1, &json!("tool_error")), "the tool itself could not");
    let unknown = desk.run(&["call", "nobody", "{}"]).await;
    assert!(unknown.code == 3 && unknown.err.contains("nobody"), "{unknown:?}");
    desk.end().await;
}
