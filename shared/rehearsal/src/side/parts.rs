//! What came of single phases: a day as a whole can hide what happened in one of its hours.

use std::time::{Duration, Instant};

use super::{Record, Spread};
use crate::caller::Ended;
use crate::outcome::{Mark, Part, Tenant};

/// Each phase by itself.
pub(super) fn of(record: &Record) -> Vec<Part> {
    record.marks.iter().map(|mark| part(record, mark, None)).collect()
}

/// Each tenant by itself, at all and by phase.
pub(super) fn of_tenants(record: &Record) -> Vec<Tenant> {
    // The last end is within.
    let until_ms = record.length().as_millis() as u64 + 1;
    let all = Mark { until_ms, ..Mark::default() };
    let tenant = |(number, name): (usize, &String)| Tenant {
        tenant: name.clone(),
        whole: part(record, &all, Some(number)),
        parts: record.marks.iter().map(|mark| part(record, mark, Some(number))).collect(),
    };
    record.tenants.iter().enumerate().map(tenant).collect()
}

/// What came in a stretch of time, of one tenant or of all.
fn part(record: &Record, mark: &Mark, tenant: Option<usize>) -> Part {
    let time = |ms| record.began + Duration::from_millis(ms);
    let (from, until) = (time(mark.from_ms), time(mark.until_ms));
    let within = |at: Instant| (from..until).contains(&at);
    let is_theirs = |whose: usize| tenant.is_none_or(|tenant| tenant == whose);
    let theirs = || {
        let all = record.ended.iter().zip(&record.begun).zip(&record.whose);
        all.filter(|(_, whose)| is_theirs(**whose)).map(|(both, _)| both)
    };
    let asked = || theirs().filter(|(ended, _)| within(ended.asked));
    let is_well = |ended: &&Ended| ended.end.is_well();
    let offered = asked().count() as u64;
    let succeeded = asked().map(|(ended, _)| ended).filter(is_well).count() as u64;
    // What a phase achieved is what came to its end in it, whenever it was asked for.
    let achieved = theirs().map(|(ended, _)| ended).filter(is_well).filter(|ended| within(ended.ended)).count();
    let waits = asked().filter_map(|(ended, begun)| Some(begun.as_ref()?.saturating_duration_since(ended.asked)));
    let waits: Spread = waits.collect();
    let refusals = || asked().flat_map(|(ended, _)| &ended.refusals);
    Part {
        phase: mark.text.clone(),
        offered,
        succeeded,
        success_rate: if offered == 0 { 0.0 } else { succeeded as f64 / offered as f64 },
        goodput_per_second: achieved as f64 / (until - from).as_secs_f64().max(f64::MIN_POSITIVE),
        wait_p50_ms: waits.at(0.5),
        wait_p99_ms: waits.at(0.99),
        refusals: refusals().count() as u64,
        refusals_without_retry_after: refusals().filter(|(_, hinted)| !hinted).count() as u64,
    }
}
