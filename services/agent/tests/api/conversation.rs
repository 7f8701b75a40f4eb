use holdfast_proto::{
    llm::v1::Role,
    queue::v1::{InvocationState, Usage, invocation_event::Event},
};
use serde_json::json;

use crate::{
    mesh::{Mesh, chunks, result},
    models::{calls, says},
};

const AGENT: &str = r#"
[agents.clerk]
model = "scripted"
instructions = "Help."
tools = ["echo", "both"]
temperature = 0.5
"#;

#[tokio::test]
async fn tools_that_are_asked_for_together_are_called_together_and_told_in_order() {
    let mesh = Mesh::start(AGENT).await;
    // `both` answers only when two calls of it are there at once.
    mesh.models.script([calls(&[("both", r#"{"n":1}"#), ("both", r#"{"n":2}"#)]), says(r#"{"decision":"refund"}"#)]);
    let _pool = mesh.pool().await;

    let ended = mesh.run("clerk", json!({ "customer": "C-1" })).await;

    assert_eq!(result(&ended), (&br#"{"decision":"refund"}"#[..], "application/json"));
    assert_eq!(mesh.models.told(), [json!({ "n": 1 }), json!({ "n": 2 })]);
    assert_eq!(ended.usage, Some(Usage { input_tokens: 20, output_tokens: 10 }));
}

#[tokio::test]
async fn a_model_sees_instructions_input_and_tools() {
    let mesh = Mesh::start(AGENT).await;
    mesh.models.script([says("It is done.")]);
    let _pool = mesh.pool().await;

    let ended = mesh.run("clerk", json!({ "customer": "C-1" })).await;

    assert_eq!(result(&ended), (&b"It is done."[..], "text/plain"));
    let asked = mesh.models.asked().remove(0);
    let said: Vec<_> = asked.messages.iter().map(|message| (message.role(), message.content.as_str())).collect();
    assert_eq!(said, [(Role::System, "Help."), (Role::User, r#"{"customer":"C-1"}"#)]);
    assert_eq!((asked.model.as_str(), asked.temperature), ("scripted", Some(0.5)));
    let tools: Vec<_> = asked.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(tools, ["echo", "both"]);
    assert_eq!(asked.tools[0].description, "echo does what it says");
}

#[tokio::test]
async fn watchers_see_the_steps_and_the_answer() {
    let mesh = Mesh::start(AGENT).await;
    mesh.models.script([calls(&[("echo", "{}")]), says("It is done.")]);
    let _pool = mesh.pool().await;
    let id = mesh.submit("clerk", json!("hello")).await;
    let (_, events) = mesh.ended(&id).await;
    assert!(
        events
            .iter()
            .any(|event| matches!(&event.event, Some(Event::Progress(told)) if told.message == "step 1: echo"))
    );
    assert_eq!(chunks(&events), "It is done.");
}

#[tokio::test]
async fn an_agent_without_tools_tells_its_answer_as_it_comes() {
    let mesh = Mesh::start("[agents.poet]\nmodel = \"scripted\"\n").await;
    mesh.models.script([says("one two three")]);
    let _pool = mesh.pool().await;
    let id = mesh.submit("poet", json!("count")).await;
    let (ended, events) = mesh.ended(&id).await;
    assert_eq!(result(&ended).0, b"one two three");
    let told = events.iter().filter(|event| matches!(event.event, Some(Event::Chunk(_)))).count();
    assert_eq!((told, chunks(&events).as_str()), (2, "one two three"), "the first word at once, the rest together");
    assert_eq!(ended.usage, Some(Usage { input_tokens: 10, output_tokens: 5 }));
}

#[tokio::test]
async fn a_model_that_is_full_is_waited_for() {
    let mesh = Mesh::start(AGENT).await;
    mesh.models.script([says("at last")]);
    mesh.models.refuse.store(4, std::sync::atomic::Ordering::SeqCst);
    let _pool = mesh.pool().await;
    let ended = mesh.run("clerk", json!("hello")).await;
    assert_eq!((ended.state(), ended.attempt), (InvocationState::Succeeded, 1));
}
