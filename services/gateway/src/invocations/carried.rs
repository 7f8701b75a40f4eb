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

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::Timestamp;

    use super::*;

    fn time(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    /// The fields of both contracts have the same numbers and types, so what is the same looks the same on the wire. That
    /// each field is named below is the compiler's business.
    #[test]
    fn every_field_of_a_list_is_carried() {
        let request = pb::ListInvocationsRequest {
            agent: "a".into(),
            session: "s".into(),
            states: vec![1, 6],
            page_size: 7,
            page_token: "t".into(),
            labels: [("n".to_owned(), "v".to_owned())].into(),
            created_after: time(1),
            created_before: time(2),
            ended_after: time(3),
            ended_before: time(4),
        };
        assert_eq!(list(request.clone()).encode_to_vec(), request.encode_to_vec());
    }

    #[test]
    fn every_field_of_a_redrive_and_its_answer_is_carried() {
        let request = pb::RedriveInvocationsRequest {
            redrive_id: "r".into(),
            invocation_ids: vec!["i".into()],
            filter: Some(queue::redrive_invocations_request::Filter { agent: "a".into(), ..Default::default() }),
            limit: 7,
            dry_run: true,
            deadline: time(5),
            page_token: "t".into(),
        };
        assert_eq!(redrive(request.clone()).encode_to_vec(), request.encode_to_vec());
        let refusal = queue::redrive_invocations_response::Refusal { reason: "NOT_FOUND".into(), ..Default::default() };
        let response = queue::RedriveInvocationsResponse {
            invocation_ids: vec!["i".into()],
            refusals: vec![refusal],
            next_page_token: "t".into(),
        };
        assert_eq!(redriven(response.clone()).encode_to_vec(), response.encode_to_vec());
    }
}
