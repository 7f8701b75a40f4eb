use holdfast_proto::queue::v1::{
    CancelInvocationRequest, CompleteRequest, EnqueueRequest, HeartbeatRequest, InvocationSpec, LeaseRequest,
    ListDepthsRequest, ListInvocationsRequest, WatchInvocationRequest,
};
use tonic::{Code, Status};

use crate::harness::{Harness, as_tenant, id_of, in_session, spec};
use crate::worker::{Worker, hello};

impl Harness {
    pub(crate) async fn enqueue_as(&self, tenant: &str, spec: InvocationSpec) -> Result<String, Status> {
        let request = as_tenant(EnqueueRequest { spec: Some(spec), ..Default::default() }, tenant);
        Ok(self.client().enqueue(request).await?.into_inner().invocation_id)
    }
}

#[tokio::test]
async fn another_tenants_invocation_is_not_there() {
    let queue = Harness::start().await;
    let id = queue.enqueue_as("one", spec()).await.unwrap();
    assert!(queue.get_as("one", &id).await.is_ok());
    let mut client = queue.client();
    let refusals = [
        queue.get_as("two", &id).await.unwrap_err(),
        client
            .watch_invocation(as_tenant(WatchInvocationRequest { invocation_id: id.clone(), from_offset: 0 }, "two"))
            .await
            .unwrap_err(),
        client
            .cancel_invocation(as_tenant(
                CancelInvocationRequest { invocation_id: id.clone(), reason: String::new() },
                "two",
            ))
            .await
            .unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.code(), Code::NotFound);
    }
    let listed = client.list_invocations(as_tenant(ListInvocationsRequest::default(), "two")).await.unwrap();
    assert!(listed.into_inner().invocations.is_empty());
    let depths = client.list_depths(as_tenant(ListDepthsRequest {}, "two")).await.unwrap();
    assert!(depths.into_inner().depths.is_empty());
}

#[tokio::test]
async fn keys_and_sessions_of_tenants_are_apart() {
    let queue = Harness::start().await;
    let keyed = InvocationSpec { idempotency_key: "k".into(), ..in_session("s") };
    let one = queue.enqueue_as("one", keyed.clone()).await.unwrap();
    let two = queue.enqueue_as("two", keyed).await.unwrap();
    assert_ne!(one, two);
    assert_eq!(queue.lease_now(10).await.len(), 2, "the same name is another session");
}

#[tokio::test]
async fn a_worker_of_a_tenant_gets_only_that_tenants_work() {
    let queue = Harness::start().await;
    let theirs = queue.enqueue_as("two", spec()).await.unwrap();
    let own = queue.enqueue_as("one", spec()).await.unwrap();
    let ask = LeaseRequest { worker: "w".into(), agents: vec!["mail".into()], max_leases: 10, wait: None };
    let leases = queue.client().lease(as_tenant(ask, "one")).await.unwrap().into_inner().leases;
    assert_eq!(leases.iter().map(id_of).collect::<Vec<_>>(), [&own]);
    let hello = holdfast_proto::queue::v1::work_request::Hello { credits: 10, ..hello() };
    let mut worker = Worker::open_as(queue.client(), hello, Some("two")).await;
    assert_eq!(id_of(&worker.lease().await), theirs);
}

#[tokio::test]
async fn another_tenants_lease_cannot_be_used() {
    let queue = Harness::start().await;
    queue.enqueue_as("one", spec()).await.unwrap();
    let token = queue.lease_one().await.token;
    let complete = as_tenant(CompleteRequest { token: token.clone(), ..Default::default() }, "two");
    assert_eq!(queue.client().complete(complete).await.unwrap_err().code(), Code::PermissionDenied);
    let beat = as_tenant(HeartbeatRequest { tokens: vec![token] }, "two");
    assert_eq!(queue.client().heartbeat(beat).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn only_the_mesh_says_for_whom_it_asks() {
    let queue = Harness::start().await;
    let request = EnqueueRequest { tenant: "two".into(), spec: Some(spec()), ..Default::default() };
    let id = queue.client().enqueue(request.clone()).await.unwrap().into_inner().invocation_id;
    assert_eq!(queue.get_as("two", &id).await.unwrap().tenant, "two");
    let refused = queue.client().enqueue(as_tenant(request, "one")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_tenant_that_floods_does_not_starve_another() {
    let queue = Harness::start().await;
    for _ in 0..50 {
        queue.enqueue_as("flood", spec()).await.unwrap();
    }
    let small = queue.enqueue_as("small", spec()).await.unwrap();
    let leases = queue.lease_now(2).await;
    assert!(leases.iter().any(|lease| id_of(lease) == small));
}
