use super::*;

const INVOCATION: &str = "0190-a";

fn span(id: u8, parent: u8, name: &str) -> Counted {
    Counted {
        trace: [1; 16],
        id: [id; 8],
        parent: (parent > 0).then_some([parent; 8]),
        service: "holdfast-test".into(),
        name: name.into(),
        invocation: (parent > 0).then(|| INVOCATION.into()),
        error: None,
        found: false,
    }
}

/// The trace of an invocation with one attempt.
fn whole() -> Vec<Counted> {
    vec![
        span(1, 0, "holdfast.gateway.v1.InvocationService/RunInvocation"),
        span(2, 1, "enqueue a"),
        span(3, 1, "queue.wait a"),
        span(4, 1, "invoke_agent a"),
        span(5, 4, "chat m"),
    ]
}

fn wrong_with(spans: Vec<Counted>) -> Option<&'static str> {
    let known = HashMap::from([(INVOCATION.to_owned(), Known { leases: 1 })]);
    judge(spans, &known).wrong.keys().next().copied()
}

#[test]
fn a_whole_trace_is_one() {
    assert_eq!(wrong_with(whole()), None);
}

#[test]
fn whatever_is_missing_is_noticed() {
    for (gone, wrong) in [(0, "no root"), (1, "not one acceptance"), (2, "a wait is missing"), (3, "an orphan")] {
        let mut spans = whole();
        spans.remove(gone);
        assert_eq!(wrong_with(spans), Some(wrong));
    }
    let unattended = whole().into_iter().take(2).collect();
    assert_eq!(wrong_with(unattended), Some("an attempt is missing"));
    assert_eq!(wrong_with(Vec::new()), Some("no trace"));
}

#[test]
fn what_strays_is_noticed() {
    let mut spans = whole();
    spans.push(span(6, 0, "a second root"));
    assert_eq!(wrong_with(spans), Some("several roots"));
    let mut spans = whole();
    spans.push(Counted { trace: [2; 16], ..span(6, 5, "execute_tool t") });
    assert_eq!(wrong_with(spans), Some("several traces"));
}

#[test]
fn a_repeated_submission_may_be_told_elsewhere() {
    let mut spans = whole();
    spans.push(Counted { trace: [2; 16], found: true, ..span(6, 5, "enqueue a") });
    assert_eq!(wrong_with(spans), None);
}

#[test]
fn what_comes_again_is_counted_once_and_its_end_goes_before_its_loss() {
    let mut spans = whole();
    let cut = Counted { error: Some("PROCESS_LOST".into()), ..spans[4].clone() };
    spans.insert(0, cut);
    let verdict = judge(spans, &HashMap::new());
    assert_eq!((verdict.spans, verdict.repeated, verdict.cut), (5, 1, 0));
}
