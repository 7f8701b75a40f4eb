use super::*;
use crate::scenario::Wanted;

/// A record of invocations that were asked for a second apart, begun after half a second and ended after another.
fn record(ends: &[End]) -> Record {
    let began = Instant::now();
    let at = |number: usize, millis: u64| began + Duration::from_secs(number as u64) + Duration::from_millis(millis);
    let ended = ends.iter().enumerate().map(|(number, end)| Ended {
        number: number as u64,
        asked: at(number, 0),
        ended: at(number, 900),
        end: end.clone(),
        refusals: Vec::new(),
    });
    let look = |number: usize, refused: u64| {
        let tally = Tally { refused, ..Tally::default() };
        Look { at: at(number, 500), depth: number as u64, tally, busy: 2, stalled: 1 }
    };
    Record {
        began,
        ended: ended.collect(),
        begun: (0..ends.len()).map(|number| Some(at(number, 500))).collect(),
        whose: (0..ends.len()).map(|number| number % 2).collect(),
        tenants: Vec::new(),
        late: vec![Duration::from_millis(3); ends.len()],
        looks: vec![look(0, 1), look(2, 4)],
        every: Duration::from_secs(1),
        tally: Tally { refused: 4, ..Tally::default() },
        insight: Some(Insight {
            stalled: Duration::ZERO,
            write_timeouts: 0,
            lost_updates: 0,
            cut_off: 0,
            left_lying: 0,
        }),
        marks: Vec::new(),
    }
}

const WELL: End = End::Answered { degraded: false, misled: false };

#[test]
fn every_invocation_is_counted_once_by_how_it_ended() {
    let misled = End::Answered { degraded: true, misled: true };
    let degraded = End::Answered { degraded: true, misled: false };
    let failed = End::Failed("MODEL_LIMITED".into());
    let side = record(&[WELL, degraded, misled, failed, End::Expired, End::Refused]).side();
    assert_eq!((side.offered, side.succeeded, side.degraded), (6, 3, Some(2)));
    assert_eq!((side.failed, side.expired, side.refused, side.wrong_answers), (1, 1, 1, Some(1)));
    assert!((side.success_rate - 3.0 / 6.0).abs() < 1e-9);
    assert_eq!(side.reasons.iter().map(|(_, count)| count).sum::<u64>(), 3);
    assert!(side.wait_p50_ms.is_some_and(|wait| (wait - 500.0).abs() < 1.0), "{:?}", side.wait_p50_ms);
}

#[test]
fn a_refusal_is_counted_wherever_it_led_to() {
    let mut record = record(&[WELL, WELL]);
    record.ended[1].refusals = vec![(record.ended[1].asked, true), (record.ended[1].asked, false)];
    let side = record.side();
    assert_eq!((side.refusals, side.refusals_without_retry_after, side.succeeded), (2, 1, 2));
    assert_eq!(side.series[1].refusals, 2);
}

#[test]
fn each_tenant_has_what_came_of_its_own() {
    let mut record = record(&[WELL, End::Expired, WELL, End::Refused]);
    record.tenants = vec!["desk".into(), "crawler".into()];
    record.marks = [(0, 2), (2, 4)]
        .map(|(from, until)| Mark {
            from_ms: from * 1_000,
            until_ms: until * 1_000,
            text: format!("from {from}"),
            fault: false,
        })
        .to_vec();
    record.ended[3].refusals = vec![(record.ended[3].asked, true), (record.ended[3].asked, false)];
    let side = record.side();
    let figures = |tenant: &str, phase: Option<&str>| {
        let part = side.part_of(tenant, phase).expect("there is one");
        (part.offered, part.succeeded, part.refusals, part.refusals_without_retry_after)
    };
    assert_eq!([figures("desk", None), figures("crawler", None)], [(2, 2, 0, 0), (2, 0, 2, 1)]);
    assert_eq!([figures("desk", Some("from 0")), figures("crawler", Some("from 2"))], [(1, 1, 0, 0), (1, 0, 2, 1)]);
    assert_eq!(side.parts.iter().map(|part| part.offered).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn buckets_have_no_gaps_and_hold_everything() {
    let side = record(&[WELL, End::Expired, WELL]).side();
    assert!(side.series.windows(2).all(|pair| pair[0].at_ms + pair[0].length_ms == pair[1].at_ms));
    let sum = |figure: fn(&crate::outcome::Bucket) -> u64| side.series.iter().map(figure).sum::<u64>();
    assert_eq!((sum(|bucket| bucket.offered), sum(|bucket| bucket.completed), sum(|bucket| bucket.failed)), (3, 2, 1));
    assert_eq!(sum(|bucket| bucket.provider_429), 4, "between two looks nothing is lost");
    assert_eq!(side.series.iter().map(|bucket| bucket.depth).collect::<Vec<_>>(), [0, 0, 2]);
}

#[test]
fn a_day_on_which_nothing_came_is_no_success() {
    let side = record(&[]).side();
    assert_eq!((side.success_rate, side.offered, side.series.len()), (0.0, 0, 1));
}

#[test]
fn what_nobody_looked_at_is_unknown_and_keeps_no_promise() {
    let mut record = record(&[WELL, WELL]);
    record.marks = vec![Mark { from_ms: 0, until_ms: 5_000, text: "day".into(), fault: false }];
    (record.insight, record.begun) = (None, vec![None, None]);
    record.tally = Tally::default();
    let side = record.side();
    let unknown = [side.lost_updates, side.wrong_answers, side.degraded, side.state_write_timeouts];
    assert_eq!(unknown, [None; 4]);
    assert_eq!([side.wait_p50_ms, side.wait_p99_ms, side.stalled_worker_seconds, side.parts[0].wait_p99_ms], [None; 4]);
    let document = serde_json::to_value(&side).expect("it has a JSON form");
    assert!(
        document["lost_updates"].is_null() && document.get("lost_updates").is_some(),
        "the key is there all the same"
    );
    let wanted = |figure: &str| Wanted {
        name: "it".into(),
        figure: figure.into(),
        phase: None,
        tenants: Vec::new(),
        times_of: None,
        at_least: None,
        at_most: Some(0.0),
    };
    let promises = crate::verdict::promises(&[wanted("lost_updates"), wanted("provider_429")], &side);
    assert_eq!(promises.iter().map(|promise| promise.held).collect::<Vec<_>>(), [false, true]);
}
