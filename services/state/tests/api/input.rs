use holdfast_config::{Document, Size};
use holdfast_proto::state::v1 as pb;
use holdfast_rpc::{client::for_tenant, service::Settings as _, status};
use holdfast_state::Config;
use tonic::{Code, Request};

use crate::harness::*;

#[tokio::test]
async fn bad_input_names_its_field() {
    let config = Config { value_max: Size::from_kib(1), ..Config::default() };
    let state = Harness::with(config).await;
    let good = put("k", "1", None);
    let at = |namespace: &str, partition: &str, key: &str| {
        Some(pb::Address { namespace: namespace.into(), partition: partition.into(), key: key.into() })
    };
    let long = "x".repeat(513);
    for (bad, field) in [
        (pb::PutRequest { address: None, ..good.clone() }, "address"),
        (pb::PutRequest { address: at("", "p", "k"), ..good.clone() }, "address.namespace"),
        (pb::PutRequest { address: at("n", "a\nb", "k"), ..good.clone() }, "address.partition"),
        (pb::PutRequest { address: at("n", "p", &long), ..good.clone() }, "address.key"),
        (pb::PutRequest { value: None, ..good.clone() }, "value"),
        (pb::PutRequest { value: Some(value(&"x".repeat(1_025))), ..good.clone() }, "value.data"),
        (pb::PutRequest { write_id: "7".into(), ..good.clone() }, "write_id"),
        (pb::PutRequest { durability: 9, ..good.clone() }, "durability"),
    ] {
        let refused = state.put(bad).await.unwrap_err();
        assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some(field)));
    }
    state.put(put("k", &"x".repeat(1_024), None)).await.expect("the limit itself is allowed");

    let many = pb::BatchGetRequest { addresses: vec![address("k"); 1_001], ..Default::default() };
    let refused = state.client.clone().batch_get(for_tenant(Request::new(many), "acme").unwrap()).await.unwrap_err();
    assert_eq!(status::field(&refused).as_deref(), Some("addresses"));
}

#[tokio::test]
async fn a_read_only_namespace_is_written_to_by_operators_only() {
    let document = Document::parse("t", "[state.namespaces.accounts]\nread_only = true\n", []).unwrap();
    let state = Harness::with(Config::from_document(&document).unwrap()).await;
    let as_role = |role: &'static str| {
        let mut request = for_tenant(Request::new(put("k", "1", None)), "acme").unwrap();
        request.metadata_mut().insert("holdfast-role", role.parse().unwrap());
        request
    };
    for role in ["caller", "mesh"] {
        let refused = state.client.clone().put(as_role(role)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    state.client.clone().put(as_role("operator")).await.unwrap();
    assert_eq!(data(&state.get("k").await.unwrap()), "1");
}

#[tokio::test]
async fn a_raise_names_one_scope() {
    let state = Harness::start().await;
    for (session, invocation_id, field) in [("", "", "session"), ("s", "i", "session")] {
        let raise = pb::RaiseFenceRequest {
            tenant: "acme".into(),
            session: session.into(),
            invocation_id: invocation_id.into(),
            fence: 1,
        };
        assert_eq!(status::field(&state.raise(raise).await.unwrap_err()).as_deref(), Some(field));
    }
}
