use super::*;

const INVOCATION: &str = "0190-a";
/// What the invocation of [`whole`] did.
const DID: [Deed; 3] = [
    Deed { service: "holdfast-llm-proxy", name: "chat ", times: 2, missing: "a model call is missing" },
    Deed { service: "holdfast-tool-proxy", name: "execute_tool t", times: 1, missing: "a tool call is missing" },
    Deed { service: "holdfast-state", name: "holdfast.state.", times: 1, missing: "a state access is missing" },
];

fn span(id: u8, parent: u8, name: &str) -> Counted {
    Counted {
        trace: [1; 16],
        id: [id; 8],
        parent: (parent > 0).then_some([parent; 8]),
        service: "holdfast-queue".into(),
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
        Counted { service: DID[0].service.into(), ..span(5, 4, "chat m") },
        Counted { service: DID[0].service.into(), ..span(6, 4, "chat m") },
        Counted { service: DID[1].service.into(), ..span(7, 4, "execute_tool t") },
        Counted { service: DID[2].service.into(), ..span(8, 4, "holdfast.state.v1.StateService/Put") },
    ]
}

fn wrong_with(spans: Vec<Counted>) -> Option<&'static str> {
    let known = HashMap::from([(INVOCATION.to_owned(), Known { leases: 1, did: &DID })]);
    judge(spans, &known).wrong.keys().next().copied()
}

#[test]
fn a_whole_trace_is_one() {
    assert_eq!(wrong_with(whole()), None);
}

#[test]
fn whatever_is_missing_is_noticed() {
    let wrongs = [
        "no root",
        "not one acceptance",
        "a wait is missing",
        "an orphan",
        "a model call is missing",
        "a model call is missing",
        "a tool call is missing",
        "a state access is missing",
    ];
    assert_eq!(wrongs.len(), whole().len(), "each span is taken away once");
    for (gone, wrong) in wrongs.into_iter().enumerate() {
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
    spans.push(span(9, 0, "a second root"));
    assert_eq!(wrong_with(spans), Some("several roots"));
    let mut spans = whole();
    spans.push(Counted { trace: [2; 16], ..span(9, 5, "execute_tool t") });
    assert_eq!(wrong_with(spans), Some("several traces"));
}

#[test]
fn a_repeated_submission_may_be_told_elsewhere() {
    let mut spans = whole();
    spans.push(Counted { trace: [2; 16], found: true, ..span(9, 5, "enqueue a") });
    assert_eq!(wrong_with(spans), None);
}

#[test]
fn what_comes_again_is_counted_once_and_its_end_goes_before_its_loss() {
    let mut spans = whole();
    let cut = Counted { error: Some("PROCESS_LOST".into()), ..spans[4].clone() };
    spans.insert(0, cut);
    let verdict = judge(spans, &HashMap::new());
    assert_eq!((verdict.spans, verdict.repeated, verdict.cut), (8, 1, 0));
}

#[test]
fn what_a_kill_cut_short_stands_for_no_call_that_was_answered() {
    let mut spans = whole();
    spans[7].error = Some("PROCESS_LOST".into());
    assert_eq!(wrong_with(spans.clone()), Some("a state access is missing"));
    spans.push(Counted { id: [9; 8], error: None, ..spans[7].clone() });
    assert_eq!(wrong_with(spans), None);
}

#[test]
fn what_ended_badly_may_have_done_anything() {
    let known = HashMap::from([(INVOCATION.to_owned(), Known { leases: 1, did: &[] })]);
    let spans = whole().into_iter().take(4).collect();
    assert_eq!(judge(spans, &known).whole, 1);
}
