//! A worker that is going to be frozen: it leases one invocation, prints its token, and waits for a line on its standard
//! input. Then it does everything that a worker does, as if no time had passed, and prints what each attempt came to.

use std::io::BufRead;

use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_proto::queue::v1::report_progress_request::Event;
use holdfast_proto::queue::v1::{CompleteRequest, FailRequest, Failure, LeaseRequest, ReportProgressRequest};
use holdfast_proto::state::v1::precondition::{Overwrite, Precondition as Holds};
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::state::v1::{
    Address, BatchPutRequest, DeleteRequest, Precondition, PutRequest, Value, batch_put_request,
};
use holdfast_proto::tool::v1::CallToolRequest;
use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use serde_json::{Map, json};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

#[tokio::main]
async fn main() {
    let [address, agent, tool] = arguments();
    let channel = Channel::from_shared(address).expect("the first argument is a URL").connect_lazy();
    let mut queue = QueueServiceClient::new(channel.clone());
    let wait = Some(prost_types::Duration { seconds: 20, nanos: 0 });
    let ask = LeaseRequest { worker: "frozen".into(), agents: vec![agent], max_leases: 1, wait };
    let leases = queue.lease(ask).await.expect("a worker may lease").into_inner().leases;
    let token = leases.into_iter().next().expect("there is an invocation").token;
    println!("{token}");
    std::io::stdin().lock().lines().next();
    println!("{}", json!(go_on(channel, &token, tool).await));
}

fn arguments() -> [String; 3] {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    arguments.try_into().expect("frozen-worker URL AGENT TOOL")
}

async fn go_on(channel: Channel, token: &str, tool: String) -> Map<String, serde_json::Value> {
    let mut state = StateServiceClient::new(channel.clone());
    let mut queue = QueueServiceClient::new(channel.clone());
    let mut tools = ToolServiceClient::new(channel);
    let key = |key: &str| Address { namespace: "frozen".into(), partition: "p".into(), key: key.into() };
    let value = Some(Value { data: b"1".to_vec().into(), content_type: String::new() });
    let write = batch_put_request::Write { key: "batch".into(), precondition: None, value: value.clone(), ttl: None };
    let put = PutRequest { address: Some(key("put")), value, ..Default::default() };
    let batch = BatchPutRequest {
        namespace: "frozen".into(),
        partition: "p".into(),
        writes: vec![write],
        ..Default::default()
    };
    let overwrite = Some(Precondition { precondition: Some(Holds::Overwrite(Overwrite {})) });
    let delete = DeleteRequest { address: Some(key("put")), precondition: overwrite, ..Default::default() };
    let call = CallToolRequest { tool, arguments: b"{}".to_vec().into(), step: 7, ..Default::default() };
    let token = token.to_owned();
    let progress = ReportProgressRequest { token: token.clone(), event: Some(Event::Chunk(b"late".to_vec().into())) };
    let failure = Failure { reason: "LATE".into(), ..Default::default() };
    let fail = FailRequest { token: token.clone(), failure: Some(failure), ..Default::default() };
    let complete = CompleteRequest { token: token.clone(), ..Default::default() };
    let mut outcomes = Map::new();
    let mut note = |name: &str, outcome: String| outcomes.insert(name.into(), outcome.into());
    note("put", said(state.put(with(&token, put)).await));
    note("batch_put", said(state.batch_put(with(&token, batch)).await));
    note("delete", said(state.delete(with(&token, delete)).await));
    note("call_tool", said(tools.call_tool(with(&token, call)).await));
    note("report_progress", said(queue.report_progress(progress).await));
    note("fail", said(queue.fail(fail).await));
    note("complete", said(queue.complete(complete).await));
    outcomes
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("holdfast-lease", token.parse().expect("a token is plain text"));
    request
}

fn said<T>(outcome: Result<Response<T>, Status>) -> String {
    match outcome {
        Ok(_) => "taken".into(),
        Err(status) => holdfast_rpc::status::reason(&status).unwrap_or_else(|| format!("{:?}", status.code())),
    }
}
