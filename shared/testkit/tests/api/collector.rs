use std::time::Duration;

use holdfast_testkit::Collector;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

#[tokio::test]
async fn a_span_is_found_with_its_service_parent_and_attributes() {
    let collector = Collector::start().await;
    let mut client = TraceServiceClient::connect(collector.endpoint()).await.unwrap();
    let span = Span {
        name: "chat".into(),
        trace_id: vec![0xab; 16],
        span_id: vec![1; 8],
        parent_span_id: vec![2; 8],
        attributes: vec![attribute("gen_ai.tool.name", "echo")],
        ..Default::default()
    };
    let resource = Resource { attributes: vec![attribute("service.name", "agent")], ..Default::default() };
    let spans = ScopeSpans { spans: vec![span], ..Default::default() };
    let spans = ResourceSpans { resource: Some(resource), scope_spans: vec![spans], ..Default::default() };
    client.export(ExportTraceServiceRequest { resource_spans: vec![spans] }).await.unwrap();

    let got = collector.wait_for(Duration::from_secs(5), |spans| !spans.is_empty()).await.unwrap();
    assert_eq!((&*got[0].service, &*got[0].name, &*got[0].parent_id), ("agent", "chat", "0202020202020202"));
    assert_eq!((&*got[0].trace_id, got[0].attribute("gen_ai.tool.name")), (&*"ab".repeat(16), Some("echo")));
}
