//! What became of everything: compares what callers were told, what the queue holds, and what workers wrote down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use holdfast_proto::gateway::v1::ListInvocationsRequest;
use holdfast_proto::queue::v1::{Invocation, InvocationState};
use holdfast_rpc::time::micros;
use holdfast_testkit::Mesh;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Report;
use super::killer::{Killer, Outage};
use super::records::{self, Execution, Executions, Life};
use crate::patience::patiently;
use crate::queue_kills;

/// A worker's stream has so long to come back.
const GRACE: Duration = Duration::from_secs(2);
/// After an outage a worker comes back within as long again (its tries are that far apart), and at most this.
const RETURN_MAX: Duration = Duration::from_secs(2);
/// Faults that are told in full.
const TOLD: usize = 10;

/// Waits until everything acknowledged has ended; then, or when the time is over, all that the queue holds.
pub(super) async fn calm(
    mesh: &Mesh,
    acknowledged: &BTreeSet<String>,
    within: Duration,
) -> BTreeMap<String, Invocation> {
    let until = Instant::now() + within;
    let mut ticks = interval(Duration::from_millis(500));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let held = held(mesh).await;
        let over = |id: &String| held.get(id).is_some_and(|invocation| invocation.ended_at.is_some());
        if acknowledged.iter().all(over) || Instant::now() >= until {
            return held;
        }
    }
}

async fn held(mesh: &Mesh) -> BTreeMap<String, Invocation> {
    let gateway = mesh.invocations();
    let mut held = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let ask = ListInvocationsRequest { page_size: 1_000, page_token, ..Default::default() };
        let page = patiently(ask, |request| {
            let mut gateway = gateway.clone();
            async move { gateway.list_invocations(request).await }
        });
        let page = page.await.expect("invocations can be listed");
        held.extend(page.invocations.into_iter().map(|invocation| (invocation.id.clone(), invocation)));
        if page.next_page_token.is_empty() {
            return held;
        }
        page_token = page.next_page_token;
    }
}

/// Counts, and tells of each fault.
pub(super) async fn count(
    killer: Killer,
    acknowledged: &BTreeSet<String>,
    held: BTreeMap<String, Invocation>,
) -> Report {
    let Killer { stage, kills, outages, .. } = killer;
    let mut executions = Executions::new();
    for life in 0..stage.lives.len() {
        records::read(life, &stage.records(life), &mut executions);
    }
    let mut report = Report { kills, acknowledged: acknowledged.len(), ..Report::default() };
    for id in acknowledged {
        match held.get(id).map(Invocation::state) {
            Some(InvocationState::Succeeded) => report.completed += 1,
            other => report.lost.push(format!("{id}: {other:?}, begun {:?}", executions.get(id))),
        }
    }
    report.strangers = held.keys().filter(|id| !acknowledged.contains(*id)).count();
    report.ended_twice = ended_twice(&stage.mesh, &held, &executions).await;
    report.longest_outage = outages.iter().map(|outage| length(*outage)).max().unwrap_or_default();
    judge(&mut report, &stage.lives, &outages, executions);
    for fault in [&report.lost, &report.ended_twice, &report.without_cause].into_iter().flatten().take(TOLD) {
        println!("{fault}");
    }
    report
}

/// Invocations that ended more than once, or were begun after their end.
async fn ended_twice(mesh: &Mesh, held: &BTreeMap<String, Invocation>, executions: &Executions) -> Vec<String> {
    let ends = futures::stream::iter(held.iter().filter(|(_, invocation)| invocation.ended_at.is_some()));
    let found = ends.map(|(id, invocation)| async move {
        let ends = queue_kills::ends(mesh, id).await;
        let ended_at = invocation.ended_at.as_ref().and_then(micros);
        let late = executions.get(id).into_iter().flatten().any(|execution| Some(execution.begun_at) > ended_at);
        (ends != 1 || late).then(|| format!("{id}: {ends} ends, begun after the end: {late}"))
    });
    found.buffer_unordered(32).filter_map(std::future::ready).collect().await
}

/// Times in which a worker may have been without a queue for longer than its grace.
fn gaps(outages: &[Outage]) -> Vec<Outage> {
    let mut gaps: Vec<Outage> = Vec::new();
    for outage in outages {
        let back = outage.to + length(*outage).min(RETURN_MAX).as_micros() as i64;
        match gaps.last_mut() {
            Some(gap) if outage.from <= gap.to => gap.to = gap.to.max(back),
            _ => gaps.push(Outage { from: outage.from, to: back }),
        }
    }
    gaps.retain(|gap| length(*gap) > GRACE);
    gaps
}

fn judge(report: &mut Report, lives: &[Life], outages: &[Outage], executions: Executions) {
    let gaps = gaps(outages);
    for (id, mut begun) in executions {
        begun.sort_by_key(|execution| execution.begun_at);
        report.executions += begun.len();
        for pair in begun.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            let killed = lives[before.life].killed_at.filter(|at| *at <= after.begun_at);
            let between = |killed_at: i64| outages.iter().any(|out| out.to >= killed_at && out.from <= after.begun_at);
            if let Some(killed_at) = killed.filter(|at| !between(*at)) {
                let after = u64::try_from(after.begun_at - killed_at).unwrap_or_default();
                report.taken_over_after.push(Duration::from_micros(after));
            }
            match cause(before, after, killed, &gaps) {
                Some(cause) => *report.repeats.entry(cause).or_default() += 1,
                None => report.without_cause.push(format!("{id}: {before:?}, and again {after:?}")),
            }
        }
    }
}

/// Why the lease of an execution was really lost before the next began.
fn cause(before: &Execution, after: &Execution, killed: Option<i64>, gaps: &[Outage]) -> Option<&'static str> {
    if killed.is_some() {
        return Some("worker_killed");
    }
    let met = |gap: &&Outage| gap.from <= after.begun_at && gap.to >= before.begun_at;
    gaps.iter().find(met).map(|_| "beyond_grace")
}

fn length(outage: Outage) -> Duration {
    Duration::from_micros(u64::try_from(outage.to - outage.from).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn execution(begun_at: i64) -> Execution {
        Execution { life: 0, begun_at, end: None }
    }

    fn verdict(killed_at: Option<i64>, outages: &[(i64, i64)]) -> Report {
        let outages: Vec<_> = outages.iter().map(|(from, to)| Outage { from: *from, to: *to }).collect();
        let executions = Executions::from([("a".to_owned(), vec![execution(SECOND), execution(9 * SECOND)])]);
        let mut report = Report::default();
        judge(&mut report, &[Life { place: 0, killed_at }], &outages, executions);
        report
    }

    #[test]
    fn a_repeat_needs_a_cause() {
        assert_eq!(verdict(None, &[]).without_cause.len(), 1);
        assert_eq!(verdict(Some(2 * SECOND), &[]).repeats["worker_killed"], 1);
        assert_eq!(verdict(Some(10 * SECOND), &[]).without_cause.len(), 1, "killed later");
    }

    #[test]
    fn an_outage_is_a_cause_only_beyond_the_grace() {
        assert_eq!(verdict(None, &[(2 * SECOND, 5 * SECOND)]).repeats["beyond_grace"], 1);
        let short = [(2 * SECOND, 2 * SECOND + SECOND / 2), (4 * SECOND, 4 * SECOND + SECOND / 2)];
        assert_eq!(verdict(None, &short).without_cause.len(), 1);
        assert_eq!(verdict(None, &[(20 * SECOND, 25 * SECOND)]).without_cause.len(), 1, "later");
    }
}
