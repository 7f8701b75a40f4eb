use holdfast_sdk::state::Address;
use serde_json::json;

use crate::{
    mesh::Mesh,
    models::{calls, says},
};

const AGENT: &str = "[agents.clerk]\nmodel = \"scripted\"\ntools = [\"state_get\", \"state_put\", \"state_list\"]\n";

const AT: &str = r#""namespace":"accounts","partition":"C-1","key":"status""#;

#[tokio::test]
async fn an_agent_reads_and_writes_its_tenants_state() {
    let mesh = Mesh::start(AGENT).await;
    mesh.models.script([
        calls(&[("state_get", &format!("{{{AT}}}"))]),
        calls(&[("state_put", &format!(r#"{{{AT},"value":"open"}}"#))]),
        calls(&[
            ("state_get", &format!("{{{AT}}}")),
            ("state_list", r#"{"namespace":"accounts","partition":"C-1"}"#),
            // Nobody overwrites unseen: the record is there by now.
            ("state_put", &format!(r#"{{{AT},"value":"closed"}}"#)),
        ]),
        says("done"),
    ]);
    let _pool = mesh.pool().await;
    mesh.run("clerk", json!("go")).await;

    let told = mesh.models.told();
    assert_eq!(told[0], json!({ "found": false }));
    assert_eq!((&told[1]["written"], &told[1]["revision"]), (&json!(true), &json!(1)));
    assert_eq!((&told[2]["value"], &told[2]["version"]), (&json!("open"), &told[1]["version"]));
    assert_eq!(told[3]["records"][0]["key"], "status");
    assert_eq!((&told[4]["error"], &told[4]["current"]["value"]), (&json!("CONFLICT"), &json!("open")));
    let record = mesh.state().get(&Address::new("accounts", "C-1", "status")).await.expect("reachable");
    assert_eq!(record.expect("written").json::<String>().expect("text"), "open");
}

#[tokio::test]
async fn the_meshs_own_records_are_closed_to_models() {
    let mesh = Mesh::start(AGENT).await;
    let steps = r#"{"namespace":"holdfast.steps","partition":"x","key":"000001","value":1}"#;
    mesh.models.script([calls(&[("state_put", steps), ("state_get", "{}")]), says("done")]);
    let _pool = mesh.pool().await;
    mesh.run("clerk", json!("go")).await;
    let told = mesh.models.told();
    assert!(told.iter().all(|told| told["error"] == "BAD_ARGUMENTS"), "{told:?}");
}
