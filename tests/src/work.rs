//! Work that a test leases by hand, as a simple client in any language would.

use holdfast_proto::gateway::v1::SubmitInvocationRequest;
use holdfast_proto::queue::v1::{InvocationSpec, LeaseRequest, Payload};
use holdfast_proto::state::v1::RegisterFenceRequest;
use holdfast_testkit::Mesh;
use tonic::Request;

/// The agent for which it is submitted: name it in `gateway.extra_agents`.
pub const AGENT: &str = "work";

/// Submits an invocation; an empty session is none. Gives its id.
pub async fn submit(mesh: &Mesh, session: &str) -> String {
    let payload = Some(Payload { data: b"{}".to_vec().into(), content_type: String::new() });
    let spec = InvocationSpec { agent: AGENT.into(), payload, session: session.into(), ..Default::default() };
    let request = SubmitInvocationRequest { spec: Some(spec) };
    mesh.invocations().submit_invocation(request).await.expect("the gateway takes it").into_inner().invocation_id
}

/// A lease of the work, as soon as nobody else has it, and registered as its holder does first thing. Gives its token.
pub async fn lease(mesh: &Mesh) -> String {
    let wait = Some(prost_types::Duration { seconds: 30, nanos: 0 });
    let ask = LeaseRequest { worker: "by hand".into(), agents: vec![AGENT.into()], max_leases: 1, wait };
    let leases = mesh.queue().lease(ask).await.expect("the queue answers").into_inner().leases;
    let token = leases.into_iter().next().expect("the work is free").token;
    mesh.state().register_fence(under(&token, RegisterFenceRequest {})).await.expect("it is the newest lease");
    token
}

/// A message under a lease.
pub fn under<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("holdfast-lease", token.parse().expect("a token is a header's value"));
    request
}
