//! Calls that the queue checks and answers: carried over from one contract to the other, field by field.

use holdfast_proto::gateway::v1 as pb;
use holdfast_proto::queue::v1 as queue;

/// A list.
pub(super) fn list(request: pb::ListInvocationsRequest) -> queue::ListInvocationsRequest {
    queue::ListInvocationsRequest {
        agent: request.agent,
        session: request.session,
        states: request.states,
        page_size: request.page_size,
        page_token: request.page_token,
        labels: request.labels,
        created_after: request.created_after,
        created_before: request.created_before,
        ended_after: request.ended_after,
        ended_before: request.ended_before,
    }
}

/// A redrive.
pub(super) fn redrive(request: pb::RedriveInvocationsRequest) -> queue::RedriveInvocationsRequest {
    queue::RedriveInvocationsRequest {
        redrive_id: request.redrive_id,
        invocation_ids: request.invocation_ids,
        filter: request.filter,
        limit: request.limit,
        dry_run: request.dry_run,
        deadline: request.deadline,
        page_token: request.page_token,
    }
}

/// What became of it.
pub(super) fn redriven(response: queue::RedriveInvocationsResponse) -> pb::RedriveInvocationsResponse {
    pb::RedriveInvocationsResponse {
        invocation_ids: response.invocation_ids,
        refusals: response.refusals,
        next_page_token: response.next_page_token,
    }
}
