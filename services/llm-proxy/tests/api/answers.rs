//! What is said, and what is refused.

use holdfast_proto::llm::v1 as pb;
use holdfast_rpc::status;
use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{Harness, one_key, said};

#[tokio::test]
async fn an_answer_says_where_it_comes_from_and_what_it_cost() {
    let harness = Harness::plain().await;
    let answer = harness.say("tell me").await.expect("an answer");
    assert!(answer.message.expect("a message").content.contains("tell me"));
    assert_eq!(answer.deployment, "sim/simulated-model");
    assert_eq!(answer.finish_reason, i32::from(pb::FinishReason::Stop));
    let key = harness.provider.counts().key("simulated");
    let usage = answer.usage.expect("usage");
    assert_eq!((usage.input_tokens, usage.output_tokens), (key.prompt_tokens, key.completion_tokens));
    assert_eq!(answer.timing.expect("timing").attempts, 1);
    assert!(!answer.degraded);
}

#[tokio::test]
async fn tools_go_to_the_model_and_their_calls_come_back() {
    let harness = Harness::plain().await;
    let tool = |name: &str| pb::ToolDefinition {
        name: name.into(),
        input_schema: json!({"type": "object"}).to_string().into(),
        ..Default::default()
    };
    let mut request = said(r#"{"customer_id": "C-1001"}"#);
    request.tools = vec![tool("lookup_customer"), tool("lookup_payment")];
    let answer = harness.ask(request.clone()).await.expect("an answer");
    assert_eq!(answer.finish_reason, i32::from(pb::FinishReason::ToolCalls));
    let message = answer.message.expect("a message");
    let names: Vec<_> = message.tool_calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["lookup_customer", "lookup_payment"]);
    let arguments: Value = serde_json::from_str(&message.tool_calls[0].arguments).expect("JSON");
    assert_eq!(arguments, json!({"customer_id": "C-1001"}));

    // The model sees what its tools said: now there is nothing left for it to look up.
    let results = message.tool_calls.iter().map(|call| pb::Message {
        role: pb::Role::Tool.into(),
        content: "{}".into(),
        tool_call_id: call.id.clone(),
        ..Default::default()
    });
    let results: Vec<_> = results.collect();
    request.messages.push(message);
    request.messages.extend(results);
    let answer = harness.ask(request).await.expect("an answer");
    assert!(answer.message.expect("a message").tool_calls.is_empty());
}

#[tokio::test]
async fn further_fields_reach_the_provider() {
    let harness = Harness::plain().await;
    let script = holdfast_simulator::Step { text: "by the metadata".into(), ..Default::default() };
    harness.provider.add_scripts([("s".to_owned(), holdfast_simulator::Script { steps: vec![script] })].into());
    let extra = json!({"metadata": {"script": "s"}}).to_string().into();
    let answer = harness.ask(pb::GenerateRequest { extra, ..said("hi") }).await.expect("an answer");
    assert_eq!(answer.message.expect("a message").content, "by the metadata");
}

#[tokio::test]
async fn the_limit_on_output_reaches_the_provider() {
    let harness = Harness::plain().await;
    let answer = harness.ask(pb::GenerateRequest { max_output_tokens: 3, ..said("hi") }).await.expect("an answer");
    assert_eq!(answer.finish_reason, i32::from(pb::FinishReason::Length));
    assert!(answer.usage.expect("usage").output_tokens <= 3);
}

#[tokio::test]
async fn bad_input_names_its_field() {
    let harness = Harness::plain().await;
    let empty = pb::GenerateRequest { messages: Vec::new(), ..said("hi") };
    let reserved = pb::GenerateRequest { extra: json!({"stream": true}).to_string().into(), ..said("hi") };
    let mut roleless = said("hi");
    roleless.messages[0].role = 0;
    let schemaless = pb::ToolDefinition { name: "t".into(), input_schema: "{".into(), ..Default::default() };
    let broken = pb::GenerateRequest { tools: vec![schemaless], ..said("hi") };
    let endless = pb::GenerateRequest { max_output_tokens: u32::MAX, ..said("hi") };
    let torn = pb::GenerateRequest { extra: json!({"n": 1.5}).to_string().into(), ..said("hi") };
    let cases = [
        (empty, "messages"),
        (reserved, "extra"),
        (roleless, "messages[0].role"),
        (broken, "tools[0].input_schema"),
        (endless, "max_output_tokens"),
        (torn, "n"),
    ];
    for (request, field) in cases {
        let refused = harness.ask(request).await.expect_err("it makes no sense");
        assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some(field)));
    }
    assert_eq!(harness.provider.counts().key("simulated").requests, 0);
}

#[tokio::test]
async fn an_unknown_model_is_not_found() {
    let harness = Harness::plain().await;
    let request = pb::GenerateRequest { model: "gpt-99".into(), ..said("hi") };
    let refused = harness.ask(request).await.expect_err("there is no such model");
    assert_eq!(refused.code(), Code::NotFound);
    assert!(refused.message().contains("gpt-99"));
}

#[tokio::test]
async fn what_the_provider_refuses_is_refused_in_its_words() {
    let harness = Harness::plain().await;
    let refused = harness.say(&"word ".repeat(200_000)).await.expect_err("the context is full");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(status::reason(&refused).as_deref(), Some("CONTEXT_LENGTH"));
    assert!(refused.message().contains("maximum context length is 128000"), "{}", refused.message());
    assert_eq!(harness.provider.counts().key("simulated").requests, 1, "nobody else would like it better");
}

#[tokio::test]
async fn an_upstream_model_that_does_not_exist_is_a_fault_of_the_configuration() {
    let toml = one_key("concurrency = 2").replace("simulated-model", "no-such-model");
    let harness = Harness::start(toml, crate::harness::provider(&[("simulated", Default::default())]).await).await;
    let refused = harness.say("hi").await.expect_err("the provider does not know it");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(status::reason(&refused).as_deref(), Some("NO_UPSTREAM_MODEL"));
}

#[tokio::test]
async fn the_models_are_listed_as_simulated() {
    let harness = Harness::plain().await;
    let models =
        harness.client.clone().list_models(pb::ListModelsRequest {}).await.expect("a list").into_inner().models;
    let deployments = vec!["sim/simulated-model".into()];
    let expected = pb::Model { name: "m".into(), deployments, simulated: true, only_simulated: true };
    assert_eq!(models, [expected]);
}

#[tokio::test]
async fn a_model_that_leads_outside_as_well_is_not_listed_as_only_simulated() {
    let second = "model = \"simulated-model\" }, { provider = \"outside\", model = \"large\" }";
    let toml = one_key("concurrency = 2").replace("model = \"simulated-model\" }", second)
        + "[providers.outside]\nkind = \"openai\"\nbase_url = \"https://provider.invalid/v1\"\n\
           keys = [{ name = \"any\", key = \"env:PATH\", concurrency = 2 }]\n";
    let harness = Harness::start(toml, crate::harness::provider(&[("simulated", Default::default())]).await).await;
    let models =
        harness.client.clone().list_models(pb::ListModelsRequest {}).await.expect("a list").into_inner().models;
    assert_eq!(models.iter().map(|model| (model.simulated, model.only_simulated)).collect::<Vec<_>>(), [(true, false)]);
}
