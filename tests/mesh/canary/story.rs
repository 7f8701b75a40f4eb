//! What callers, workers and strangers do.

use std::fmt::Debug;
use std::time::Duration;

use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::gateway::v1::{RunInvocationRequest, SubmitInvocationRequest};
use holdfast_proto::llm::v1::llm_service_client::LlmServiceClient;
use holdfast_proto::llm::v1::{GenerateRequest, Message, Role};
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_proto::queue::v1::{
    CompleteRequest, FailRequest, Failure, InvocationSpec, InvocationState, LeaseRequest, ListDepthsRequest, Payload,
    RetryPolicy,
};
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::state::v1::{Address, PutRequest, RegisterFenceRequest, Value};
use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use holdfast_proto::tool::v1::{CallToolRequest, ListCircuitsRequest};
use serde_json::json;
use tonic::{Request, Response, Status};

use super::doors;
use super::place::{MODELS, Place, TOOLS};

/// For one call: what hangs ends by then.
const WITHIN: Duration = Duration::from_secs(20);

pub async fn tell(place: &mut Place) {
    invocations(place).await;
    work(place).await;
    models(place).await;
    strangers(place).await;
    commands(place).await;
    doors::all(place).await;
}

fn with<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request.set_timeout(WITHIN);
    request
}

fn under<T>(key: &str, lease: &str, message: T) -> Request<T> {
    let mut request = with(key, message);
    request.metadata_mut().insert("holdfast-lease", lease.parse().unwrap());
    request
}

/// What a caller is told who is refused.
fn refused<T: Debug>(place: &mut Place, to: &str, answer: Result<Response<T>, Status>, quotes: bool) {
    let status = answer.expect_err(to);
    let metadata = format!("{:?}", status.metadata());
    let bytes = [status.message().as_bytes(), status.details(), metadata.as_bytes()].concat();
    place.hears(to, bytes, quotes);
}

fn spec(agent: &str, data: &str) -> InvocationSpec {
    let payload = Some(Payload { data: data.as_bytes().to_vec().into(), content_type: String::new() });
    let retry_policy = Some(RetryPolicy { max_attempts: 1, ..Default::default() });
    InvocationSpec { agent: agent.into(), payload, retry_policy, ..Default::default() }
}

async fn invocations(place: &mut Place) {
    let (mut client, key) = (InvocationServiceClient::new(place.channel(0)), place.secret("caller"));
    let prompt = place.prompt.word().to_owned();
    let input = json!({ "text": prompt }).to_string();
    for agent in ["asks", "refuses", "denies", "breaks"] {
        let mut run = with(&key, RunInvocationRequest { spec: Some(spec(agent, &input)) });
        if ["denies", "breaks"].contains(&agent) {
            // A model that is away is waited for.
            run.set_timeout(Duration::from_secs(1));
        }
        match client.run_invocation(run).await {
            Ok(ended) => {
                let invocation = ended.into_inner().invocation.expect("it has ended");
                assert_eq!(invocation.state() == InvocationState::Succeeded, agent == "asks", "{invocation:?}");
                place.hears(agent, format!("{invocation:?}"), true);
            }
            Err(status) => refused::<()>(place, agent, Err(status), false),
        }
    }
    let submit = |spec| with(&key, SubmitInvocationRequest { spec: Some(spec) });
    let keyed = |data: &str| InvocationSpec { idempotency_key: "once".into(), ..spec("work", data) };
    client.submit_invocation(submit(keyed("{}"))).await.expect("it is accepted");
    let wrong = [
        keyed(&input),
        InvocationSpec { session: prompt.repeat(100), ..spec("work", &input) },
        InvocationSpec { priority: 1_000, ..spec("work", &input) },
        InvocationSpec { labels: [("why".into(), prompt.repeat(1_000))].into(), ..spec("work", &input) },
        spec("nobody", &input),
    ];
    for spec in wrong {
        let answer = client.submit_invocation(submit(spec)).await;
        refused(place, "who submits wrongly", answer, false);
    }
}

/// A worker by hand: it writes, calls and fails, loses its lease by failing, and goes on all the same.
async fn work(place: &mut Place) {
    let (caller, key) = (place.secret("caller"), place.secret("worker"));
    let prompt = place.prompt.word().to_owned();
    let input = json!({ "text": prompt }).to_string();
    let two =
        RetryPolicy { max_attempts: 2, initial_backoff: Some(prost_types::Duration::default()), ..Default::default() };
    let spec = InvocationSpec { retry_policy: Some(two), session: "desk".into(), ..spec("work", &input) };
    let mut invocations = InvocationServiceClient::new(place.channel(0));
    let submitted = invocations.submit_invocation(with(&caller, SubmitInvocationRequest { spec: Some(spec) })).await;
    let id = submitted.expect("it is accepted").into_inner().invocation_id;
    let old = lease(place, &key, &id).await;
    records(place, &key, &old).await;
    tools(place, &key, &old).await;

    let mut queue = QueueServiceClient::new(place.channel(0));
    let failure = Some(Failure { reason: "CLUMSY".into(), message: format!("dropped {prompt}"), retryable: true });
    let fail = FailRequest { token: old.clone(), failure, usage: None };
    queue.fail(with(&key, fail.clone())).await.expect("it held the lease");
    let new = lease(place, &key, &id).await;
    // A repeat is told what the first was.
    queue.fail(with(&key, fail)).await.expect("it has failed before");
    let mut tools = ToolServiceClient::new(place.channel(0));
    let call = CallToolRequest { tool: "well".into(), arguments: input.clone().into(), step: 9, ..Default::default() };
    refused(place, "whose lease is over", tools.call_tool(under(&key, &old, call)).await, false);
    let result = || Some(Payload { data: input.clone().into(), content_type: String::new() });
    for token in [&*format!("{new}x"), &old, &place.secret("stranger")] {
        let complete = CompleteRequest { token: token.to_owned(), result: result(), usage: None };
        refused(place, "who completes wrongly", queue.complete(with(&key, complete)).await, false);
    }
    let complete = CompleteRequest { token: new, result: result(), usage: None };
    queue.complete(with(&key, complete)).await.expect("it holds the lease");
}

/// The lease of an invocation; others of its kind are given back.
async fn lease(place: &mut Place, key: &str, id: &str) -> String {
    let mut queue = QueueServiceClient::new(place.channel(0));
    loop {
        let wait = Some(prost_types::Duration { seconds: 15, nanos: 0 });
        let ask = LeaseRequest { worker: "by hand".into(), agents: vec!["work".into()], max_leases: 1, wait };
        let leases = queue.lease(with(key, ask)).await.expect("the queue answers").into_inner().leases;
        let lease = leases.into_iter().next().expect("there is work");
        place.learn(&lease.token);
        if lease.invocation.as_ref().is_some_and(|invocation| invocation.id == id) {
            let mut state = StateServiceClient::new(place.channel(0));
            state.register_fence(under(key, &lease.token, RegisterFenceRequest {})).await.expect("it is the newest");
            return lease.token;
        }
        let complete = CompleteRequest { token: lease.token, ..Default::default() };
        queue.complete(with(key, complete)).await.expect("it holds the lease");
    }
}

async fn records(place: &mut Place, key: &str, lease: &str) {
    let mut state = StateServiceClient::new(place.channel(0));
    let prompt = place.prompt.word().to_owned();
    let put = |namespace: &str| PutRequest {
        address: Some(Address { namespace: namespace.into(), partition: "desk".into(), key: "note".into() }),
        value: Some(Value { data: prompt.clone().into_bytes().into(), content_type: "text/plain".into() }),
        ..Default::default()
    };
    state.put(under(key, lease, put("notes"))).await.expect("it is new");
    // The detail of a conflict is the record, for who may read it.
    refused(place, "who writes unseen", state.put(under(key, lease, put("notes"))).await, true);
    for namespace in ["", "holdfast.steps"] {
        refused(place, "who writes elsewhere", state.put(under(key, lease, put(namespace))).await, false);
    }
    let wrong = PutRequest { write_id: prompt.clone(), ..put("notes") };
    refused(place, "who writes wrongly", state.put(under(key, lease, wrong)).await, false);
}

async fn tools(place: &mut Place, key: &str, lease: &str) {
    let mut tools = ToolServiceClient::new(place.channel(0));
    let prompt = place.prompt.word().to_owned();
    let call = |tool: &str, step, arguments: String| {
        let call = CallToolRequest { tool: tool.into(), arguments: arguments.into(), step, ..Default::default() };
        under(key, lease, call)
    };
    for (step, (tool, ..)) in (1..).zip(TOOLS) {
        let answer = tools.call_tool(call(tool, step, json!({ "text": prompt }).to_string())).await;
        place.hears(format!("who calls {tool}"), format!("{answer:?}"), true);
    }
    let wrong =
        [json!({"text": 5, "more": prompt}).to_string(), format!("[\"{prompt}\"]"), format!("{{\"text\": \"{prompt}")];
    for (step, arguments) in (20..).zip(wrong) {
        let answer = tools.call_tool(call("well", step, arguments)).await;
        refused(place, "who calls wrongly", answer, false);
    }
    let answer = tools.call_tool(call("well", 1, json!({ "text": "another" }).to_string())).await;
    refused(place, "who calls something else in its place", answer, false);
}

async fn models(place: &mut Place) {
    let (mut client, key) = (LlmServiceClient::new(place.channel(0)), place.secret("worker"));
    let message = Message { role: Role::User.into(), content: place.prompt.word().into(), ..Default::default() };
    let ask =
        |model: &str| GenerateRequest { model: model.into(), messages: vec![message.clone()], ..Default::default() };
    for model in MODELS {
        let mut request = with(&key, ask(model));
        request.set_timeout(Duration::from_secs(1));
        let answer = client.generate(request).await;
        assert_eq!(answer.is_ok(), model == "answers", "{model}: {answer:?}");
        place.hears(format!("who asks {model}"), format!("{answer:?}"), true);
    }
    let extra = format!("{{\"seed\": \"{}", place.prompt.word());
    let wrong = [ask("none"), GenerateRequest { extra: extra.into(), ..ask("answers") }];
    for request in wrong {
        let answer = client.generate(with(&key, request)).await;
        refused(place, "who asks a model wrongly", answer, false);
    }
}

/// With a key that is none, with one that opens something else, and past the gateway.
async fn strangers(place: &mut Place) {
    let (stranger, caller) = (place.secret("stranger"), place.secret("caller"));
    for key in [&stranger, &caller] {
        let mut tools = ToolServiceClient::new(place.channel(0));
        refused(place, "who may not look", tools.list_circuits(with(key, ListCircuitsRequest::default())).await, false);
        let mut queue = QueueServiceClient::new(place.channel(1));
        refused(place, "who goes past", queue.list_depths(with(key, ListDepthsRequest::default())).await, false);
        let mut state = StateServiceClient::new(place.channel(2));
        let fence = under(key, &stranger, RegisterFenceRequest {});
        refused(place, "who has no lease", state.register_fence(fence).await, false);
    }
    let mut invocations = InvocationServiceClient::new(place.channel(0));
    let submit = SubmitInvocationRequest { spec: Some(spec("work", place.prompt.word())) };
    refused(place, "a stranger", invocations.submit_invocation(with(&stranger, submit)).await, false);
}

/// The commands, as people type them wrongly.
async fn commands(place: &mut Place) {
    let prompt = place.prompt.word().to_owned();
    let (wrong, broken) = (json!({"text": 5, "more": prompt}).to_string(), format!("{{\"text\": \"{prompt}"));
    for (key, arguments) in [
        ("operator", ["tools", "call", "well", &wrong]),
        ("operator", ["tools", "call", "well", &broken]),
        ("caller", ["submit", "nobody", &wrong, "--wait"]),
        ("caller", ["submit", "asks", &broken, "--wait"]),
        ("stranger", ["submit", "asks", &wrong, "--wait"]),
    ] {
        let output = place.command(key, &arguments).output().await.expect("it was built");
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        place.hears(
            format!("who types {} {}", arguments[0], arguments[1]),
            [output.stdout, output.stderr].concat(),
            false,
        );
    }
}
