use holdfast_simulator::{Config, Counts};
use serde_json::{Value, json};

use crate::{World, said};

impl World {
    async fn put(&self, path: &str, body: Value) -> u16 {
        let response = self.http.put(self.simulator.url() + path).json(&body).send().await.expect("an answer");
        response.status().as_u16()
    }
}

#[tokio::test]
async fn the_knobs_work_over_http() {
    let world = World::start(Config::default()).await;
    assert_eq!(world.put("/admin/faults", json!({"error_rate": 1.0, "error_status": 503})).await, 204);
    assert_eq!(world.ask("hi").await.status(), 503);
    assert_eq!(world.put("/admin/faults", json!({})).await, 204);
    assert_eq!(world.put("/admin/keys/fresh", json!({"concurrency": 2, "window": "3s"})).await, 204);
    assert_eq!(world.chat("fresh", &said("hi")).send().await.expect("an answer").status(), 200);
    let script = json!({"s": {"steps": [{"text": "by script"}]}});
    assert_eq!(world.put("/admin/scripts", script).await, 204);
    let answer: Value = world.ask("script:s").await.json().await.expect("JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], "by script");
    let rules = json!([{"when": {"user_says": "weather"}, "text": "Ask somebody else about {{user}}."}]);
    assert_eq!(world.put("/admin/rules", rules).await, 204);
    let answer: Value = world.ask("the Weather").await.json().await.expect("JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], "Ask somebody else about the Weather.");
}

#[tokio::test]
async fn the_counters_are_read_and_reset_over_http() {
    let world = World::start(Config::default()).await;
    world.ask("hi").await;
    let read = async || -> Counts {
        let answer = world.http.get(world.simulator.url() + "/admin/counts").send().await.expect("an answer");
        answer.json().await.expect("counts")
    };
    assert_eq!(read().await, world.simulator.counts());
    assert_eq!(read().await.answered(), 1);
    assert_eq!(world.post("/admin/reset").send().await.expect("an answer").status(), 204);
    assert_eq!(read().await.answered(), 0);
}

#[tokio::test]
async fn a_knob_that_makes_no_sense_is_refused() {
    let world = World::start(Config::default()).await;
    assert_eq!(world.put("/admin/faults", json!({"error_rate": 7})).await, 422);
    assert_eq!(world.put("/admin/faults", json!({"eror_rate": 1})).await, 422);
    assert_eq!(world.put("/admin/tools/nobody/faults", json!({})).await, 404);
    assert_eq!(world.put("/admin/tools/echo/faults", json!({"flap": {"ill": "1s", "well": "0s"}})).await, 422);
}

#[tokio::test]
async fn faults_are_read_as_they_were_set() {
    let world = World::start(Config::default()).await;
    let set = json!({"hang_rate": 0.5, "hang_for": "1s 500ms", "flap": {"ill": "2s", "well": "3s"}});
    assert_eq!(world.put("/admin/faults", set.clone()).await, 204);
    let read = world.http.get(world.simulator.url() + "/admin/faults").send().await.expect("an answer");
    let read: Value = read.json().await.expect("JSON");
    for (name, value) in set.as_object().expect("an object") {
        assert_eq!(&read[name], value, "{name}");
    }
    assert_eq!(world.put("/admin/faults", read).await, 204, "it is taken as it was given");
}
