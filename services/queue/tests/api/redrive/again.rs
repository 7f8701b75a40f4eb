//! Calls that are repeated, and what must stay in order.

use super::*;

#[tokio::test]
async fn a_repeat_of_a_call_by_filter_tells_of_what_it_redrove_and_goes_no_further_than_its_limit() {
    let queue = Harness::start().await;
    let mut dead = Vec::new();
    for _ in 0..5 {
        dead.push(queue.dead(mortal()).await);
    }
    let redrive_id = holdfast_rpc::id::new();
    let page = RedriveInvocationsRequest { redrive_id, limit: 2, ..like(Filter::default()) };
    let first = queue.redrive(page.clone()).await;
    assert_eq!(first.invocation_ids, dead[..2]);
    let again = queue.redrive(page.clone()).await;
    assert_eq!(again.invocation_ids, dead[..2], "they match the filter no more, and were redriven by this call");
    assert_eq!(again.next_page_token, first.next_page_token);
    for expected in &dead[2..] {
        assert_eq!(queue.state(expected).await, InvocationState::Dead);
    }
    // Its next page has the same id, and knows its own from those of the page before.
    let next = RedriveInvocationsRequest { page_token: first.next_page_token, ..page.clone() };
    for _ in 0..2 {
        assert_eq!(queue.redrive(next.clone()).await.invocation_ids, dead[2..4]);
    }
    let wider = RedriveInvocationsRequest { limit: 10, ..page };
    let rest = queue.redrive(wider).await;
    assert_eq!((rest.invocation_ids, rest.next_page_token.as_str()), (dead, ""), "what a call left undone is done");
}

#[tokio::test]
async fn nothing_passes_a_member_of_its_session_that_there_is_no_room_for() {
    let queue = Harness::with("depth_bytes_max = \"64KiB\"\npayload_max = \"64KiB\"\ndepth_soft = 1.0").await;
    let of = |bytes| InvocationSpec { payload: Some(crate::harness::payload(&"x".repeat(bytes))), ..in_session("s") };
    let large = queue.dead(of(40 << 10)).await;
    let small = queue.dead(of(1)).await;
    let other = queue.dead(mortal()).await;
    let waiting = queue.enqueue(InvocationSpec { session: String::new(), ..of(40 << 10) }).await;
    let answer = queue.redrive(named(&[&large, &small, &other])).await;
    assert_eq!((answer.invocation_ids.clone(), reasons(&answer)), (vec![other], vec!["QUEUE_FULL", "BEHIND_ANOTHER"]));
    assert_eq!(queue.state(&small).await, InvocationState::Dead);
    let lease = queue.lease_one().await;
    assert_eq!(id_of(&lease), waiting);
    let again = queue.redrive(named(&[&large, &small])).await;
    assert_eq!(again.invocation_ids, [large, small]);
}

#[tokio::test]
async fn a_repeat_goes_over_the_same_page_and_tries_again_what_there_was_no_room_for() {
    let queue = Harness::with("depth_bytes_max = \"64KiB\"\npayload_max = \"64KiB\"\ndepth_soft = 1.0").await;
    let of = |bytes| InvocationSpec { payload: Some(crate::harness::payload(&"x".repeat(bytes))), ..mortal() };
    let large = queue.dead(of(40 << 10)).await;
    let (second, third) = (queue.dead(of(1)).await, queue.dead(of(1)).await);
    let waiting = queue.enqueue(of(40 << 10)).await;
    let page = RedriveInvocationsRequest { redrive_id: holdfast_rpc::id::new(), limit: 2, ..like(Filter::default()) };
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let answer = queue.redrive(page.clone()).await;
        assert_eq!((answer.invocation_ids.clone(), reasons(&answer)), (vec![second.clone()], vec!["QUEUE_FULL"]));
        tokens.push(answer.next_page_token);
    }
    assert_eq!(tokens, [second.as_str(), second.as_str()]);
    assert_eq!(id_of(&queue.lease_one().await), waiting);
    assert_eq!(queue.redrive(page).await.invocation_ids, [large, second]);
    assert_eq!(queue.state(&third).await, InvocationState::Dead);
}
