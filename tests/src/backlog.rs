//! A million waiting, or a thousand: whether leases get slower.
//!
//! Two queues, one with each depth, are measured in turn: the same workers lease and complete as fast as they can, and as
//! much is enqueued as is leased, so that both keep their depth. On PostgreSQL there is a third, with a million, whose
//! database has a reader that began before everything else and never ends: nothing that dies after it can be cleaned up.

mod fill;
mod round;
mod subject;

use std::time::{Duration, Instant};

use holdfast_testkit::Postgres;

use crate::load::{Findings, Size, Spread, Store, telling};
use round::Round;
use subject::Subject;

const DEEP_FACTOR_MAX: f64 = 1.25;
/// A queue that does less has not been loaded.
const LEASES_MIN: f64 = 1_000.0;

/// How much there is to do.
struct Plan {
    shallow: usize,
    deep: usize,
    rounds: usize,
    length: Duration,
}

/// Measures on each of the stores.
///
/// # Panics
/// Where a service does not start, or a call fails.
pub async fn run(size: Size, stores: &[Store]) -> Findings {
    let plan = Plan {
        shallow: 1_000,
        deep: size.of(1_000_000, 20_000),
        rounds: size.of(9, 3),
        length: size.of(Duration::from_secs(5), Duration::from_secs(1)),
    };
    let mut findings = Findings::default();
    for store in stores {
        match store {
            Store::Embedded => embedded(&plan, &mut findings).await,
            Store::Postgres => postgres(&plan, &mut findings).await,
        }
    }
    findings
}

async fn embedded(plan: &Plan, findings: &mut Findings) {
    telling("embedded store");
    let shallow = Subject::start("shallow", plan.shallow, None).await;
    let deep = Subject::start("deep", plan.deep, None).await;
    compare("embedded", plan, &mut [shallow, deep], findings).await;
}

async fn postgres(plan: &Plan, findings: &mut Findings) {
    telling("PostgreSQL");
    let server = Postgres::start().await;
    let shallow = Subject::start("shallow", plan.shallow, Some(&server)).await;
    let deep = Subject::start("deep", plan.deep, Some(&server)).await;
    let read = Subject::start_with_reader("read", plan.deep, &server).await;
    server.query("CHECKPOINT").await;
    compare("postgres", plan, &mut [shallow, deep, read], findings).await;
}

/// Measures the subjects in turn, so that a drift of the machine meets all, and compares each with the first.
async fn compare(store: &str, plan: &Plan, subjects: &mut [Subject], findings: &mut Findings) {
    for subject in subjects.iter() {
        findings.tell(format!("{store}_{}_filled_per_s", subject.name), subject.filled_per_s);
    }
    // The first round of each warms up: connections, caches, plans.
    for subject in subjects.iter() {
        round::run(&subject.queue(), plan.length / 2).await;
    }
    let mut rounds: Vec<Vec<Round>> = subjects.iter().map(|_| Vec::new()).collect();
    for number in 1..=plan.rounds {
        for (subject, rounds) in subjects.iter().zip(&mut rounds) {
            let round = round::run(&subject.queue(), plan.length).await;
            let (rate, p99) = (round.leases_per_s, round.lease_ms.p99());
            telling(format!("round {number}, {:8} {rate:.0} leases/s, p99 {p99:.1} ms", subject.name));
            rounds.push(round);
        }
    }
    let (mut rates, mut p99s) = (Vec::new(), Vec::new());
    for (subject, rounds) in subjects.iter_mut().zip(&rounds) {
        let name = format!("{store}_{}", subject.name);
        let median = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Spread>().median();
        rates.push(median(|round| round.leases_per_s));
        p99s.push(median(|round| round.lease_ms.p99()));
        findings.at_least(format!("{name}_leases_per_s"), rates[rates.len() - 1], LEASES_MIN);
        findings.tell(format!("{name}_lease_ms_p50"), median(|round| round.lease_ms.median()));
        findings.tell(format!("{name}_lease_ms_p99"), p99s[p99s.len() - 1]);
        findings.at_most(format!("{name}_refused"), rounds.iter().map(|round| round.refused).sum(), 0.0);
        findings.tell(format!("{name}_waiting"), subject.waiting().await);
        findings.tell(format!("{name}_mib"), subject.memory_mib());
    }
    for (index, subject) in subjects.iter_mut().enumerate().skip(1) {
        let name = format!("{store}_{}", subject.name);
        findings.at_most(format!("{name}_rate_factor"), rates[0] / rates[index], DEEP_FACTOR_MAX);
        findings.at_most(format!("{name}_p99_factor"), p99s[index] / p99s[0], DEEP_FACTOR_MAX);
        findings.at_least(format!("{name}_kept_of_depth"), subject.waiting().await / subject.depth as f64, 0.95);
        if let Some(held) = subject.reader_holds().await {
            findings.at_least(format!("{name}_reader_still_open"), f64::from(u8::from(held)), 1.0);
        }
        let begun = Instant::now();
        subject.restart().await;
        findings.tell(format!("{name}_restart_s"), begun.elapsed().as_secs_f64());
    }
}
