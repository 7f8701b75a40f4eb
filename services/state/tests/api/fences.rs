use holdfast_proto::state::v1 as pb;
use holdfast_rpc::{status, time::now_micros};
use tonic::{Code, Request, Status};

use crate::harness::*;

fn fenced<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let refused = answer.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert_eq!(status::reason(&refused).as_deref(), Some("FENCED"));
    assert!(!status::may_have_happened(&refused));
}

fn now() -> u64 {
    now_micros().cast_unsigned()
}

#[tokio::test]
async fn a_superseded_worker_cannot_write() {
    let state = Harness::start().await;
    let (old, new) = (lease(now(), "old"), lease(now() + 1, "new"));
    assert_eq!(state.register(&old).await.unwrap(), old.fence);
    let written = state.put_under(&old, put("k", "1", None)).await.unwrap();
    assert_eq!(state.get("k").await.unwrap().writer.unwrap().invocation_id, "inv-1");
    state.register(&new).await.unwrap();
    fenced(state.put_under(&old, put("k", "2", Some(&written.version))).await);
    fenced(state.register(&old).await);
    state.put_under(&new, put("k", "2", Some(&written.version))).await.unwrap();

    let state = state.restart().await;
    fenced(state.put_under(&old, put("other", "1", None)).await);
    state.register(&new).await.expect("an equal fence of the same lease is confirmed");
}

#[tokio::test]
async fn the_first_write_of_a_newer_lease_registers_it() {
    let state = Harness::start().await;
    let (old, new) = (lease(now(), "old"), lease(now() + 1, "new"));
    state.put_under(&old, put("a", "1", None)).await.unwrap();
    state.put_under(&new, put("b", "1", None)).await.unwrap();
    fenced(state.put_under(&old, put("c", "1", None)).await);
    let state = state.crash().await;
    fenced(state.put_under(&old, put("c", "1", None)).await);
}

#[tokio::test]
async fn an_equal_fence_of_another_lease_is_refused() {
    let state = Harness::start().await;
    let fence = now();
    state.register(&lease(fence, "a")).await.unwrap();
    fenced(state.register(&lease(fence, "b")).await);
    fenced(state.put_under(&lease(fence, "b"), put("k", "1", None)).await);
}

#[tokio::test]
async fn raising_a_fence_ends_its_leases_for_good() {
    let state = Harness::start().await;
    let held = lease(now(), "a");
    state.put_under(&held, put("k", "1", None)).await.unwrap();
    let raise = pb::RaiseFenceRequest {
        tenant: "acme".into(),
        session: "s-1".into(),
        invocation_id: String::new(),
        fence: held.fence,
    };
    state.raise(raise.clone()).await.unwrap();
    state.raise(raise.clone()).await.expect("raising again changes nothing");
    fenced(state.put_under(&held, put("l", "1", None)).await);
    fenced(state.register(&held).await);
    let state = state.crash().await;
    fenced(state.register(&held).await);
    let next = lease(held.fence + 1, "b");
    state.register(&next).await.unwrap();
    state.raise(raise).await.unwrap();
    state.register(&next).await.expect("a lower raise ends nothing");
}

#[tokio::test]
async fn a_lone_invocation_has_a_fence_of_its_own() {
    let state = Harness::start().await;
    let mut alone = lease(now(), "a");
    alone.session = String::new();
    let mut other = alone.clone();
    other.invocation_id = "inv-2".into();
    state.register(&alone).await.unwrap();
    state.register(&other).await.unwrap();
    let raise = pb::RaiseFenceRequest {
        tenant: "acme".into(),
        session: String::new(),
        invocation_id: "inv-1".into(),
        fence: alone.fence + 5,
    };
    state.raise(raise).await.unwrap();
    fenced(state.put_under(&alone, put("k", "1", None)).await);
    state.put_under(&other, put("k", "1", None)).await.unwrap();
}

#[tokio::test]
async fn forgotten_fences_leave_their_tokens_refused() {
    let state = Harness::start().await;
    let held = lease(now(), "a");
    state.register(&held).await.unwrap();
    let eight_days = 8 * 24 * 3_600 * 1_000_000;
    state.upkeep_later(eight_days).await;
    fenced(state.put_under(&held, put("k", "1", None)).await);
    let state = state.restart().await;
    // The clock is back where it was: what was forgotten stays refused, and what is new is not.
    fenced(state.register(&held).await);
    state.register(&lease(now(), "b")).await.unwrap();
}

#[tokio::test]
async fn a_worker_without_a_lease_is_refused() {
    let state = Harness::start().await;
    let as_role = |role: &'static str, put: pb::PutRequest| {
        let mut request = holdfast_rpc::client::for_tenant(Request::new(put), "acme").unwrap();
        request.metadata_mut().insert("holdfast-role", role.parse().unwrap());
        request
    };
    let refused = state.client.clone().put(as_role("worker", put("k", "1", None))).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(status::reason(&refused).as_deref(), Some("LEASE_REQUIRED"));
    let refused = state.client.clone().register_fence(pb::RegisterFenceRequest {}).await.unwrap_err();
    assert_eq!(status::reason(&refused).as_deref(), Some("LEASE_REQUIRED"));
    state.client.clone().put(as_role("caller", put("k", "1", None))).await.unwrap();
}

#[tokio::test]
async fn the_meshs_namespaces_belong_to_the_mesh_and_the_invocation() {
    let state = Harness::start().await;
    let held = lease(now(), "a");
    let step = |partition: &str| pb::PutRequest {
        address: Some(pb::Address {
            namespace: "holdfast.steps".into(),
            partition: partition.into(),
            key: "000001".into(),
        }),
        value: Some(value("1")),
        precondition: overwrite(),
        ..pb::PutRequest::default()
    };
    let under = |put: pb::PutRequest, role: &'static str, lease: Option<&str>| {
        let mut request = holdfast_rpc::client::for_tenant(Request::new(put), "acme").unwrap();
        request.metadata_mut().insert("holdfast-role", role.parse().unwrap());
        match lease {
            Some(token) => holdfast_rpc::client::with_lease(request, token).unwrap(),
            None => request,
        }
    };
    let token = state.leases.sign(&held);
    let mut client = state.client.clone();
    client.put(under(step("inv-1"), "worker", Some(&token))).await.unwrap();
    client.put(under(step("inv-2"), "mesh", None)).await.unwrap();
    for (put, role, lease) in [(step("inv-2"), "worker", Some(&*token)), (step("inv-1"), "operator", None)] {
        let refused = client.put(under(put, role, lease)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
}

#[tokio::test]
async fn a_write_that_waits_for_the_store_is_stored_before_the_raise_that_ends_its_lease() {
    let state = Harness::in_files().await;
    let held = lease(now(), "a");
    let first = state.put_under(&held, put("k", "1", None)).await.unwrap();
    state.gate.hold();
    let write = state.put_under(&held, put("k", "2", Some(&first.version)));
    let raise = async {
        state.gate.arrival().await;
        let raise = pb::RaiseFenceRequest {
            tenant: "acme".into(),
            session: "s-1".into(),
            invocation_id: String::new(),
            fence: held.fence,
        };
        let raised = state.raise(raise);
        let refused = async {
            // The raise counts from when it is asked for, even while it is not stored.
            let mut n = 0;
            while state.put_under(&held, put(&format!("x{n}"), "1", None)).await.is_ok() {
                n += 1;
            }
        };
        let open = async {
            tokio::task::yield_now().await;
            state.gate.open();
        };
        let (raised, (), ()) = tokio::join!(raised, refused, open);
        raised.unwrap();
    };
    let (written, ()) = tokio::join!(write, raise);
    assert_eq!(written.unwrap().revision, 2);
    assert_eq!(data(&state.get("k").await.unwrap()), "2");
    fenced(state.put_under(&held, put("y", "1", None)).await);
}
