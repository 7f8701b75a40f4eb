use std::time::Duration;

use holdfast_config::Span;
use holdfast_simulator::{Config, Faults, Flap, Of, Tool};
use reqwest::Response;
use serde_json::{Value, json};

use crate::World;

impl World {
    async fn call(&self, tool: &str, key: Option<&str>, arguments: Value) -> Response {
        let mut request = self.post(&format!("/tools/{tool}")).json(&arguments);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request.send().await.expect("an answer")
    }
}

#[tokio::test]
async fn a_lost_answer_does_not_undo_the_effect() {
    let world = World::start(Config::default()).await;
    let lost = Faults { disconnect_rate: 1.0, times: Some(1), ..Faults::default() };
    world.simulator.set_faults(Of::Tool("record_decision"), lost);
    let arguments = json!({"customer_id": "C-1001", "decision": "refund", "reason": "r"});
    assert!(world.call("record_decision", Some("k"), arguments.clone()).await.bytes().await.is_err());
    let again: Value = world.call("record_decision", Some("k"), arguments).await.json().await.expect("JSON");
    assert_eq!(again["recorded"], true);
    let counts = world.simulator.counts().tool("record_decision");
    assert_eq!((counts.calls, counts.effects, counts.repeats), (2, 1, 1));
    assert_eq!(world.simulator.effects("record_decision")[0].calls, 2);
}

#[tokio::test]
async fn a_call_that_is_never_answered_has_taken_effect_all_the_same() {
    let world = World::start(Config::default()).await;
    let mute = Faults { mute_rate: 1.0, times: Some(1), ..Faults::default() };
    world.simulator.set_faults(Of::Tool("echo"), mute);
    let request = world.post("/tools/echo").header("idempotency-key", "k").json(&json!({"n": 1}));
    let given_up = tokio::spawn(request.send());
    world.simulator.until(|counts| counts.tool("echo").lost == 1).await;
    given_up.abort();
    world.simulator.until(|counts| counts.tool("echo").broken_off == 1).await;
    assert_eq!(
        world.call("echo", Some("k"), json!({"n": 2})).await.json::<Value>().await.expect("JSON"),
        json!({"n": 1})
    );
    let counts = world.simulator.counts().tool("echo");
    assert_eq!((counts.calls, counts.effects, counts.repeats, counts.open), (2, 1, 1, 0));
}

#[tokio::test]
async fn what_hangs_for_a_while_is_counted_and_answered_after_all() {
    let world = World::start(Config::default()).await;
    let hang_for = Some(Span::from_millis(20));
    let slow = Faults { hang_rate: 1.0, hang_for, times: Some(1), ..Faults::default() };
    world.simulator.set_faults(Of::Tool("echo"), slow);
    assert_eq!(world.call("echo", None, json!({})).await.status(), 200);
    assert_eq!(world.call("echo", None, json!({})).await.status(), 200);
    let counts = world.simulator.counts().tool("echo");
    assert_eq!((counts.hung, counts.answered), (1, 2));
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back_and_a_tool_that_flaps_is_well_again_by_itself() {
    let world = World::start(Config::default()).await;
    let flap = Flap { ill: Span::from_secs(3_600), well: Span::from_secs(1) };
    let faults = Faults { error_rate: 1.0, error_status: 429, error_retry_after: Some(2), ..Faults::default() };
    world.simulator.set_faults(Of::Tool("echo"), Faults { flap: Some(flap), ..faults.clone() });
    let refused = world.call("echo", None, json!({})).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (429, &b"2"[..]));

    let flap = Flap { ill: Span(Duration::from_nanos(1)), well: Span::from_secs(3_600) };
    world.simulator.set_faults(Of::Tool("echo"), Faults { flap: Some(flap), ..faults });
    assert_eq!(world.call("echo", None, json!({})).await.status(), 200);
}

#[tokio::test]
async fn what_is_not_found_is_an_answer_of_the_tool() {
    let world = World::start(Config::default()).await;
    assert_eq!(world.call("lookup_customer", None, json!({"customer_id": "C-9"})).await.status(), 404);
    let found = world.call("lookup_customer", None, json!({"customer_id": "C-1001"})).await;
    assert_eq!(found.json::<Value>().await.expect("JSON")["name"], "Ada Winter");
    assert_eq!(world.simulator.counts().tool("lookup_customer").answered, 2);
}

#[tokio::test]
async fn a_configured_tool_fills_in_its_answer() {
    let world = World::start(Config::default()).await;
    let answer = Some(json!({"city": "{{arguments.city}}", "degrees": 21}));
    world.simulator.set_tool("weather", Tool { answer, ..Tool::default() });
    let said: Value = world.call("weather", None, json!({"city": "Porto"})).await.json().await.expect("JSON");
    assert_eq!(said, json!({"city": "Porto", "degrees": 21}));
}
