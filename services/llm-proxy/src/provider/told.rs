use tracing::Span;

/// Longer ids are no such thing.
const ID_BYTES_MAX: usize = 256;

/// Notes in the call's trace what the provider calls its answer: by this it finds the call in its own records.
pub(super) fn response_id(id: Option<&str>) {
    if let Some(id) = id.filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX) {
        Span::current().record("gen_ai.response.id", id);
    }
}
