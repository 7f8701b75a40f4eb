use holdfast_proto::queue::v1::heartbeat_response::Renewal;
use prost::Message as _;

use super::*;
use crate::{Failure, Output, Usage, held::Standing};

const WALL: Duration = Duration::from_secs(1_000);

fn lease(token: &str) -> pb::Lease {
    pb::Lease { token: token.into(), ttl: Some(time::duration(Duration::from_secs(10))), ..Default::default() }
}

fn done() -> Option<Report> {
    Some(Report::Complete { output: Output::text("done"), usage: Usage::default() })
}

fn hello(desk: &mut Desk) -> pb::work_request::Hello {
    match desk.hello("w", &["a".into()]) {
        Up::Hello(hello) => hello,
        other => panic!("a stream opens with {other:?}"),
    }
}

fn adopted(tokens: &[&str]) -> Welcome {
    Welcome { adopted_tokens: tokens.iter().map(|token| (*token).into()).collect(), ..Welcome::default() }
}

fn refusal(error: holdfast_rpc::Error) -> Vec<u8> {
    error.to_proto().encode_to_vec()
}

#[test]
fn credits_and_running_work_never_exceed_the_capacity() {
    let now = Instant::now();
    let mut desk = Desk::new(2, now);
    assert_eq!(hello(&mut desk).credits, 2);
    desk.leased(lease("a"), now, WALL).expect("open");
    desk.leased(lease("b"), now, WALL).expect("open");
    assert_eq!(desk.room(), None, "both places are taken");

    desk.finished("a", done());
    assert_eq!(desk.room(), Some(Up::Credits(pb::work_request::Credits { credits: 1 })));
    assert_eq!(desk.room(), None, "a credit is given once");
}

#[test]
fn reports_that_wait_are_bounded_too() {
    let now = Instant::now();
    let mut desk = Desk::new(1, now);
    hello(&mut desk);
    desk.leased(lease("a"), now, WALL).expect("open");
    desk.finished("a", done());
    assert_eq!(desk.room(), None, "no new work while as many reports wait as there are places");
    desk.settled("a", &[], now);
    assert!(desk.room().is_some() && desk.is_idle());
}

#[test]
fn a_completion_is_kept_until_it_is_settled() {
    let now = Instant::now();
    let mut desk = Desk::new(4, now);
    hello(&mut desk);
    desk.leased(lease("a"), now, WALL).expect("open");
    assert!(matches!(desk.finished("a", done()), Some(Up::Complete(_))));

    // The stream breaks before the answer: the next one gets it again, although the queue adopts nothing.
    assert_eq!(hello(&mut desk).held_tokens, ["a"]);
    let again = desk.welcome(&adopted(&[]), now);
    assert!(matches!(&again[0], Up::Complete(complete) if complete.token == "a"), "{again:?}");

    desk.settled("a", &[], now);
    assert!(desk.is_idle());
}

#[test]
fn a_report_that_the_queue_cannot_take_now_is_sent_again() {
    let now = Instant::now();
    let mut desk = Desk::new(4, now);
    desk.leased(lease("a"), now, WALL).expect("open");
    desk.finished("a", done());
    let busy = refusal(holdfast_rpc::Error::unavailable("disk full", Duration::from_millis(700)));
    assert_eq!(desk.settled("a", &busy, now), None);

    let at = now + Duration::from_millis(700);
    assert_eq!(desk.due(), at);
    assert_eq!(desk.tick(now), Some(vec![]));
    assert!(matches!(&desk.tick(at).expect("alive")[..], [Up::Complete(_)]));
}

#[test]
fn a_result_that_is_refused_becomes_a_failure() {
    let now = Instant::now();
    let mut desk = Desk::new(4, now);
    desk.leased(lease("a"), now, WALL).expect("open");
    desk.finished("a", done());
    let refused = refusal(holdfast_rpc::Error::invalid("result", "larger than 1 MiB"));
    let Some(Up::Fail(fail)) = desk.settled("a", &refused, now) else { panic!("it must not wait for ever") };
    assert_eq!(fail.failure.expect("why"), Failure::fatal("RESULT_REFUSED", "result: larger than 1 MiB").into());

    // Refused again, no more is said than that; and then there is nothing left to say.
    let Some(Up::Fail(least)) = desk.settled("a", &refused, now) else { panic!("it must not wait for ever") };
    assert_eq!(
        least.failure.map(|failure| (failure.reason, failure.retryable)),
        Some(("FAILURE_REFUSED".into(), false))
    );
    assert_eq!(desk.settled("a", &refused, now), None);
    assert!(desk.is_idle());
}

#[test]
fn a_failure_that_is_refused_is_said_in_less_words_once() {
    let now = Instant::now();
    let mut desk = Desk::new(4, now);
    desk.leased(lease("a"), now, WALL).expect("open");
    let usage = Usage { input_tokens: 7, ..Usage::default() };
    desk.finished("a", Some(Report::Fail { failure: Failure::retryable("ODD", "words"), usage }));
    let refused = refusal(holdfast_rpc::Error::invalid("failure.reason", "is odd"));
    let Some(Up::Fail(fail)) = desk.settled("a", &refused, now) else { panic!("the attempt must not be forgotten") };
    let failure = fail.failure.expect("why");
    assert_eq!(
        (&*failure.reason, failure.retryable),
        ("FAILURE_REFUSED", true),
        "it is tried again as it would have been"
    );
    assert_eq!(fail.usage, Some(usage.into()), "what was used is still counted");

    assert_eq!(desk.settled("a", &refused, now), None);
    assert!(desk.is_idle());
}

#[test]
fn a_result_that_is_too_large_is_never_sent() {
    let now = Instant::now();
    let mut desk = Desk::new(4, now);
    for token in ["held over", "late", "fits"] {
        desk.leased(lease(token), now, WALL).expect("open");
    }
    let result =
        |bytes: usize| Some(Report::Complete { output: Output::text("x".repeat(bytes)), usage: Usage::default() });
    let refused = |message: &Up| {
        matches!(message, Up::Fail(fail)
        if fail.failure.as_ref().is_some_and(|why| why.reason == "RESULT_REFUSED" && !why.retryable))
    };

    // It may have been sent once, and have broken the stream: the next queue says what it takes.
    assert!(matches!(desk.finished("held over", result(11)), Some(Up::Complete(_))));
    let again = desk.welcome(&Welcome { max_result_bytes: 10, ..adopted(&["late", "fits"]) }, now);
    assert!(refused(&again[0]), "{again:?}");
    assert!(desk.finished("late", result(11)).is_some_and(|message| refused(&message)));
    assert!(matches!(desk.finished("fits", result(10)), Some(Up::Complete(_))));
}

#[test]
fn leases_that_are_not_adopted_are_lost() {
    let now = Instant::now();
    let mut desk = Desk::new(4, now);
    let kept = desk.leased(lease("kept"), now, WALL).expect("open");
    let lost = desk.leased(lease("lost"), now, WALL).expect("open");
    hello(&mut desk);
    desk.welcome(&adopted(&["kept"]), now);
    assert!(!kept.is_gone() && lost.is_gone());

    assert_eq!(desk.finished("lost", done()), None, "nobody wants its result");
    assert_eq!(hello(&mut desk).held_tokens, ["kept"]);
}

#[test]
fn a_revoked_lease_owes_nothing() {
    let now = Instant::now();
    let mut desk = Desk::new(4, now);
    let running = desk.leased(lease("running"), now, WALL).expect("open");
    desk.leased(lease("done"), now, WALL).expect("open");
    desk.finished("done", done());
    desk.revoked("running", "CANCELLED");
    desk.revoked("done", "CANCELLED");
    assert!(running.is_gone());
    assert_eq!(desk.finished("running", None), None);
    assert!(desk.is_idle());
}

#[test]
fn a_renewal_counts_from_when_the_heartbeat_was_sent() {
    let now = Instant::now();
    let mut desk = Desk::new(4, now);
    let held = desk.leased(lease("a"), now, WALL).expect("open");
    assert_eq!(held.standing(), Standing::Until(now + Duration::from_secs(10)));

    let sent = now + Duration::from_secs(8);
    assert!(matches!(&desk.tick(sent).expect("alive")[..], [Up::Heartbeat(_)]));
    let ttl = Some(time::duration(Duration::from_secs(10)));
    desk.renewed(&pb::HeartbeatResponse {
        renewals: vec![Renewal { token: "a".into(), ttl, lost_reason: String::new() }],
    });
    assert_eq!(held.standing(), Standing::Until(sent + Duration::from_secs(10)), "not from when the answer came");
}

#[test]
fn a_renewal_that_says_lost_ends_the_lease() {
    let now = Instant::now();
    let mut desk = Desk::new(4, now);
    let held = desk.leased(lease("a"), now, WALL).expect("open");
    desk.tick(now + HEARTBEAT_AT_FIRST);
    desk.renewed(&pb::HeartbeatResponse {
        renewals: vec![Renewal { token: "a".into(), ttl: None, lost_reason: "DEADLINE_PASSED".into() }],
    });
    assert!(held.is_gone());
}

#[test]
fn a_queue_that_answers_no_heartbeat_is_left() {
    let mut now = Instant::now();
    let mut desk = Desk::new(4, now);
    desk.leased(lease("a"), now, WALL).expect("open");
    for _ in 0..UNANSWERED_MAX {
        now += HEARTBEAT_AT_FIRST;
        assert!(desk.tick(now).is_some());
    }
    assert_eq!(desk.tick(now + HEARTBEAT_AT_FIRST), None);
}

#[test]
fn a_closing_worker_hands_new_work_back_at_once() {
    let now = Instant::now();
    let mut desk = Desk::new(4, now);
    hello(&mut desk);
    desk.close();
    assert!(matches!(desk.leased(lease("late"), now, WALL), Err(Up::Release(_))));
    assert_eq!(desk.room(), None);
    desk.settled("late", &[], now);
    assert!(desk.is_idle());
}
