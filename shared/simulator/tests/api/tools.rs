use holdfast_simulator::{Config, Faults, Of, Tool};
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
