use std::time::Duration;

use holdfast_resilience::Backoff;

use super::*;

fn grant(n: u128) -> Grant {
    Grant { lease: Uuid::from_u128(n), worker: "w".into(), stream: Some(Uuid::from_u128(900 + n)) }
}

fn leased(n: u128) -> Live {
    Live::accepted(None).granted(&grant(n), 0, 100).unwrap()
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn retry(attempts_max: u32) -> RetryPolicy {
    RetryPolicy {
        attempts_max,
        backoff: Backoff::doubling(Duration::from_micros(10), Duration::from_secs(1)),
        final_reasons: Vec::new(),
    }
}

fn busy() -> Failure {
    Failure { reason: "BUSY".into(), message: String::new(), retryable: true }
}

fn requeued(step: Step) -> (Live, Try) {
    match step {
        Step::Requeued { live, tried } => (live, tried),
        Step::Ended { .. } => panic!("it ended: {step:?}"),
    }
}

fn ended(step: Step) -> (Ended, Option<Try>, Option<u64>) {
    match step {
        Step::Ended { ended, tried, raise } => (ended, tried, raise),
        Step::Requeued { .. } => panic!("it waits: {step:?}"),
    }
}

#[test]
fn a_lease_is_granted_once() {
    assert!(leased(1).granted(&grant(2), 0, 200).is_none());
}

#[test]
fn fences_rise_though_the_clock_goes_back() {
    assert_eq!(next_fence(0, 50), 50);
    assert_eq!(next_fence(80, 50), 81);
    let first = leased(1);
    let (waiting, _) = requeued(first.clone().released(id(1), 0, 5).unwrap());
    let second = waiting.granted(&grant(2), 0, 5).unwrap();
    assert!(second.fence > first.fence);
    assert!(Live::accepted(None).granted(&grant(1), 1_000, 5).unwrap().fence > 1_000);
}

#[test]
fn only_the_holder_settles() {
    let live = leased(1);
    let usage = Usage::default();
    assert_eq!(live.clone().completed(id(2), Payload::default(), usage, 1), Err(NotHeld));
    assert_eq!(live.clone().failed(id(2), busy(), usage, (&retry(1), 0.0), 1), Err(NotHeld));
    assert_eq!(live.clone().released(id(2), 0, 1), Err(NotHeld));
    assert_eq!(live.clone().reported(id(2)), Err(NotHeld));
    assert_eq!(Live::accepted(None).completed(id(1), Payload::default(), usage, 1), Err(NotHeld));
    assert!(live.completed(id(1), Payload::default(), usage, 1).is_ok());
}

#[test]
fn freeing_and_adopting_compare_the_stream() {
    let live = leased(1);
    let adopted = live.adopted(id(1), Some(id(901)), Some(id(77))).unwrap();
    assert_eq!(adopted.clone().lost(id(1), Some(id(901)), 20, 5), Err(NotHeld));
    assert_eq!(adopted.clone().adopted(id(1), Some(id(901)), Some(id(78))), Err(NotHeld));
    assert!(adopted.lost(id(1), Some(id(77)), 20, 5).is_ok());
}

#[test]
fn failures_use_attempts_up_and_then_it_is_dead() {
    let (live, tried) = requeued(leased(1).failed(id(1), busy(), Usage::default(), (&retry(2), 1.0), 100).unwrap());
    assert_eq!((live.attempt, tried.attempt, tried.next_at), (1, 1, Some(110)));
    let again = live.granted(&grant(2), 0, 120).unwrap();
    let (end, tried, raise) = ended(again.failed(id(2), busy(), Usage::default(), (&retry(2), 1.0), 130).unwrap());
    assert_eq!((end.outcome.status(), end.attempt), (Status::Dead, 2));
    assert_eq!(tried.unwrap().became, Status::Dead);
    assert_eq!(raise, None, "the holder gave it up itself");
}

#[test]
fn work_that_is_handed_back_again_and_again_waits_a_while() {
    let (_, tried) = requeued(leased(1).released(id(1), 9, 100).unwrap());
    assert_eq!(tried.next_at, None);
    let (live, tried) = requeued(leased(1).released(id(1), 10, 100).unwrap());
    assert_eq!((tried.next_at, live.attempt), (Some(1_000_100), 0));
}

#[test]
fn a_lost_lease_uses_no_attempt_up_but_has_its_own_limit() {
    let mut live = leased(1);
    for n in 1..3 {
        let (waiting, tried) = requeued(live.lost(id(n), Some(id(900 + n)), 3, 100).unwrap());
        assert_eq!((waiting.attempt, waiting.lost), (0, n as u32));
        assert_eq!(tried.attempt, 1);
        live = waiting.granted(&grant(n + 1), 0, 100).unwrap();
    }
    let fence = live.fence;
    let (end, tried, raise) = ended(live.lost(id(3), Some(id(903)), 3, 100).unwrap());
    assert_eq!((end.outcome.status(), end.lost, end.attempt), (Status::Dead, 3, 0));
    assert_eq!(tried.unwrap().attempt, 1);
    assert_eq!(raise, Some(fence));
}

#[test]
fn what_ends_a_running_lease_from_outside_raises_its_fence() {
    for step in [leased(1).cancelled("", 5), leased(1).expired(5)] {
        let (_, _, raise) = ended(step);
        assert_eq!(raise, Some(leased(1).fence));
    }
    let (_, _, raise) = ended(Live::accepted(None).cancelled("", 5));
    assert_eq!(raise, None);
}

#[test]
fn a_lost_holder_is_fenced_however_the_work_ends_later() {
    let (waiting, tried) = requeued(leased(1).lost(id(1), Some(id(901)), 20, 100).unwrap());
    let (_, _, raise) = ended(waiting.clone().cancelled("", 200));
    assert_eq!(raise, Some(tried.lease.fence));
    let second = waiting.granted(&grant(2), 0, 200).unwrap();
    let (_, _, raise) = ended(second.completed(id(2), Payload::default(), Usage::default(), 300).unwrap());
    assert_eq!(raise, Some(tried.lease.fence));
}

#[test]
fn every_event_has_its_own_offset() {
    let live = leased(1);
    assert_eq!(live.lease().unwrap().event, 2);
    let told = live.reported(id(1)).unwrap();
    assert_eq!(told.events, 3);
    let (waiting, tried) = requeued(told.released(id(1), 0, 5).unwrap());
    assert_eq!((tried.event, waiting.events), (4, 4));
    let (end, ..) = ended(waiting.expired(9));
    assert_eq!(end.event, 5);
}

fn dead_after_two() -> (Ended, Vec<Try>) {
    let (waiting, first) = requeued(leased(1).failed(id(1), busy(), Usage::default(), (&retry(2), 1.0), 100).unwrap());
    let second = waiting.granted(&grant(2), 0, 120).unwrap();
    let (end, last, _) = ended(second.failed(id(2), busy(), Usage::default(), (&retry(2), 1.0), 130).unwrap());
    (end, vec![first, last.unwrap()])
}

#[test]
fn a_redrive_counts_attempts_anew_and_lets_events_and_fences_go_on() {
    let (end, tries) = dead_after_two();
    let live = end.redriven(&tries, &[], 200).unwrap();
    assert_eq!((live.attempt, live.lost, live.tries, live.redrives), (0, 0, 2, 1));
    assert_eq!(live.phase, Phase::Queued { next_at: Some(200) });
    assert_eq!(live.events, end.event + 1, "the redrive is an event itself");
    // The clock has gone back, and the session's row is gone: the fence rises all the same.
    let again = live.granted(&grant(3), 0, 5).unwrap();
    assert!(again.fence > end.lease.as_ref().unwrap().fence);
    let (once_more, tried) = requeued(again.failed(id(3), busy(), Usage::default(), (&retry(2), 1.0), 9).unwrap());
    assert_eq!((once_more.attempt, tried.attempt), (1, 1), "it has its attempts again");
}

#[test]
fn a_redriven_fence_rises_above_every_lease_of_its_past() {
    // Cancelled while it ran: that lease stands in its end alone.
    let (end, ..) = ended(leased(1).cancelled("", 300));
    let fence = end.lease.as_ref().unwrap().fence;
    let live = end.redriven(&[], &[], 400).unwrap();
    assert_eq!((live.fence, live.loose_fence), (fence, None));
    let (second, ..) = ended(live.cancelled("", 500));
    let past = [PastEnd { ended: end, redriven_at: 400, redrive: id(7) }];
    let live = second.redriven(&[], &past, 600).unwrap();
    assert_eq!((live.fence, live.redrives), (fence, 2), "it ran only before the first redrive");
    assert!(live.granted(&grant(2), 0, 5).unwrap().fence > fence);
}

#[test]
fn a_success_is_not_redriven() {
    let (end, ..) = ended(leased(1).completed(id(1), Payload::default(), Usage::default(), 9).unwrap());
    assert!(end.redriven(&[], &[], 10).is_none());
}
