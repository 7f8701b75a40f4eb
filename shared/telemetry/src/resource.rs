use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::{
    Resource,
    trace::{IdGenerator as _, RandomIdGenerator},
};

const INSTANCE: &str = "service.instance.id";

/// Whose spans and metrics these are. Processes of one service are told apart by an id, of this life if the operator gives
/// none in `OTEL_RESOURCE_ATTRIBUTES`: without it their counters would be taken for one.
pub(crate) fn resource(service: &str) -> Resource {
    let builder = || {
        Resource::builder()
            .with_service_name(format!("holdfast-{service}"))
            .with_attribute(KeyValue::new("service.namespace", "holdfast"))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
    };
    let resource = builder().build();
    if resource.get(&Key::from_static_str(INSTANCE)).is_some() {
        return resource;
    }
    let id = RandomIdGenerator::default().new_trace_id();
    builder().with_attribute(KeyValue::new(INSTANCE, id.to_string())).build()
}
