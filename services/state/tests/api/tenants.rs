use holdfast_proto::state::v1 as pb;
use holdfast_rpc::client::{for_tenant, with_lease};
use tonic::{Code, Request};

use crate::harness::*;

#[tokio::test]
async fn nothing_crosses_tenants() {
    let state = Harness::start().await;
    let version = state.make("k", "acme's").await;
    let mut client = state.client.clone();
    let other = |request| for_tenant(request, "other").unwrap();

    let get = Request::new(pb::GetRequest { address: Some(address("k")), ..Default::default() });
    let absent = for_tenant(get, "other").unwrap();
    assert_eq!(client.get(absent).await.unwrap_err().code(), Code::NotFound);
    let list = pb::ListRequest { namespace: "accounts".into(), partition: "C-1".into(), ..Default::default() };
    let listed = client.list(for_tenant(Request::new(list), "other").unwrap()).await.unwrap();
    assert!(listed.into_inner().records.is_empty());

    let stolen = client.put(other(Request::new(put("k", "other's", Some(&version))))).await.unwrap_err();
    assert_eq!(stolen.code(), Code::InvalidArgument, "a version is bound to its tenant's record");
    client.put(other(Request::new(put("k", "other's", None)))).await.unwrap();
    assert_eq!(data(&state.get("k").await.unwrap()), "acme's");
}

#[tokio::test]
async fn a_lease_acts_for_its_own_tenant_only() {
    let state = Harness::start().await;
    let token = state.leases.sign(&lease(holdfast_rpc::time::now_micros().cast_unsigned(), "a"));
    let request = with_lease(for_tenant(Request::new(put("k", "1", None)), "other").unwrap(), &token).unwrap();
    assert_eq!(state.client.clone().put(request).await.unwrap_err().code(), Code::PermissionDenied);

    let raise = pb::RaiseFenceRequest { tenant: "acme".into(), session: "s-1".into(), ..Default::default() };
    let request = for_tenant(Request::new(raise), "other").unwrap();
    assert_eq!(state.client.clone().raise_fence(request).await.unwrap_err().code(), Code::PermissionDenied);
}
