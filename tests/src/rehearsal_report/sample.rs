//! An outcome with everything in it that a report can show. It is made up, and says so.

use holdfast_rehearsal::Outcome;
use holdfast_rehearsal::outcome::{Bucket, Mark, Part, Promise, Seen, Side};

const BUCKETS: u64 = 240;
const BUCKET_MS: u64 = 500;

/// A day with a burst in it, on both sides.
pub(super) fn outcome() -> Outcome {
    let term = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Outcome {
        scenario: "sample".into(),
        title: "Made-up figures, to look at the report".into(),
        story: "No mesh ran for this: the figures are made up, so that a report with everything in it can be looked at.\n\n\
                A pool of 10 agents, a tool that hangs, an endpoint that allows 20 calls at once, 50 shared records."
            .into(),
        factor: 120.0,
        seed: 4,
        terms: vec![
            term("A day’s invocations", "12,000"),
            term("The pilot’s", "600"),
            term("Workers", "10"),
            term("Calls to the model at once", "20"),
            term("Shared records", "50"),
            term("The tool hangs", "30 s, on 2% of its calls"),
        ],
        off: Some(off()),
        on: on(),
        failures: vec![
            seen("Lost updates", true, "214 acknowledged writes are gone"),
            seen("Write timeouts", true, "18% of the writes had no answer in time"),
            seen("Tool timeouts cascade", true, "workers stood 38 minutes in a tool that hung"),
            seen("Provider refuses", false, "none was seen"),
        ],
        promises: vec![
            promise("99.9% succeed", true, "11,996 of 12,000"),
            promise("No update is lost", true, "12,004 acknowledged, 12,004 there"),
            promise("The provider never has to say 429", true, "0 of 24,113 calls"),
            promise("Every refusal says when to come back", false, "2 of 1,930 did not"),
        ],
    }
}

fn seen(name: &str, seen: bool, detail: &str) -> Seen {
    Seen { name: name.into(), seen, detail: detail.into() }
}

fn promise(name: &str, held: bool, detail: &str) -> Promise {
    Promise { name: name.into(), held, detail: detail.into() }
}

fn off() -> Side {
    Side {
        success_rate: 0.7118,
        offered: 12_000,
        succeeded: 8_542,
        failed: 958,
        expired: 2_500,
        lost_updates: Some(214),
        wrong_answers: Some(31),
        provider_429: 9_406,
        tool_stalls: 236,
        degraded: Some(0),
        stalled_worker_seconds: Some(59.0),
        state_write_timeouts: Some(2_160),
        wait_p50_ms: Some(4_120.0),
        wait_p99_ms: Some(31_400.0),
        answer_p50_ms: Some(4_300.0),
        answer_p99_ms: Some(32_000.0),
        depth_max: 4_208,
        seconds: 118.2,
        goodput_per_second: 72.3,
        tokens_input: 13_860_000,
        tokens_output: 2_532_000,
        model_calls: 33_519,
        tool_calls: 11_730,
        reasons: vec![
            ("DEADLINE_EXCEEDED".into(), 2_500),
            ("MODEL_UNAVAILABLE".into(), 711),
            ("STATE_TIMEOUT".into(), 247),
        ],
        marks: marks(),
        parts: vec![part("pilot", 0.99, 7.0, 110.0), part("day four", 0.704, 38.5, 31_400.0)],
        series: (0..BUCKETS).map(|index| bucket(index, true)).collect(),
        ..Side::default()
    }
}

fn on() -> Side {
    Side {
        success_rate: 0.999_666,
        offered: 12_000,
        succeeded: 11_996,
        degraded: Some(241),
        refused: 4,
        refusals: 1_930,
        refusals_without_retry_after: 2,
        tool_stalls: 12,
        lost_updates: Some(0),
        wrong_answers: Some(0),
        state_write_timeouts: Some(0),
        stalled_worker_seconds: Some(0.4),
        wait_p50_ms: Some(41.0),
        wait_p99_ms: Some(1_380.0),
        answer_p50_ms: Some(96.0),
        answer_p99_ms: Some(1_530.0),
        depth_max: 60,
        seconds: 101.9,
        goodput_per_second: 117.7,
        tokens_input: 13_855_380,
        tokens_output: 2_531_156,
        model_calls: 24_113,
        tool_calls: 11_764,
        reasons: vec![("RESOURCE_EXHAUSTED".into(), 4)],
        marks: marks(),
        parts: vec![part("pilot", 1.0, 7.0, 41.0), part("day four", 0.999_66, 74.2, 1_380.0)],
        series: (0..BUCKETS - 30).map(|index| bucket(index, false)).collect(),
        ..Side::default()
    }
}

fn part(phase: &str, success_rate: f64, goodput_per_second: f64, wait_p99_ms: f64) -> Part {
    Part {
        phase: phase.into(),
        offered: 6_000,
        success_rate,
        goodput_per_second,
        wait_p99_ms: Some(wait_p99_ms),
        ..Part::default()
    }
}

fn marks() -> Vec<Mark> {
    let mark = |from_ms, until_ms, text: &str, fault| Mark { from_ms, until_ms, text: text.into(), fault };
    vec![
        mark(0, 20_000, "pilot", false),
        mark(20_000, 105_000, "day four", false),
        mark(70_000, 76_000, "the store is gone", true),
    ]
}

/// Arrivals that swell and ebb, from a formula and not from chance, so that each report is the same.
fn bucket(index: u64, is_off: bool) -> Bucket {
    let day = (40..210).contains(&index);
    let wave = ((index as f64 / 9.0).sin() + (index as f64 / 3.7).sin() * 0.6 + 1.7) * 20.0;
    let offered = if day {
        wave as u64 + index * 7 % 11
    } else if index < 40 {
        3 + index % 2
    } else {
        0
    };
    let late = if is_off && day { index - 40 } else { 0 };
    let completed = if is_off { offered.min(30) * (240 - late) / 240 } else { offered.min(52) };
    let stalled =
        if is_off && day { (index * 13 % 11).min(10) * late.min(80) / 80 } else { u64::from(index.is_multiple_of(37)) };
    let has_wait = index % 29 != 3;
    let wait = |off: f64, on: f64| {
        if !has_wait {
            0.0
        } else if is_off {
            off
        } else {
            on
        }
    };
    Bucket {
        at_ms: index * BUCKET_MS,
        length_ms: BUCKET_MS,
        offered,
        completed,
        degraded: if is_off { 0 } else { completed / 50 },
        failed: if is_off && day { offered / 4 } else { 0 },
        refusals: if is_off { 0 } else { offered.saturating_sub(48) },
        depth: if is_off { late * late / 7 } else { offered.min(60) / 3 },
        wait_p50_ms: wait(late as f64 * 70.0 + 20.0, 38.0 + wave / 3.0),
        wait_p99_ms: wait(late as f64 * 180.0 + 90.0, 300.0 + wave * 14.0),
        provider_429: if is_off && day { offered * 3 / 5 + index % 9 } else { 0 },
        model_answered: completed * 2,
        workers_stalled: stalled,
        workers_busy: if day { 10 } else { 2 + index % 3 },
    }
}
