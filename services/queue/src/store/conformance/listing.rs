use std::collections::{BTreeMap, BTreeSet};

use uuid::{NoContext, Timestamp};

use super::*;
use crate::store::{Filter, Period};

const HOUR: Micros = 3_600_000_000;
/// A day in 2025.
const T0: Micros = 1_750_000_000_000_000;

/// Accepted at a time, as its id says too.
fn at(hour: i64) -> Accepted {
    let at = T0 + hour * HOUR;
    let seconds = (at / 1_000_000) as u64;
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, (at % 1_000_000) as u32 * 1_000));
    Accepted { id, at, ..accepted() }
}

fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs(labels).into_iter().collect()
}

fn pairs(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn ids(store: &Port, filter: Filter) -> Vec<Uuid> {
    let limit = if filter.limit == 0 { 100 } else { filter.limit };
    let records = store.list(Filter { limit, ..filter }).await.unwrap();
    records.into_iter().map(|record| record.accepted.id).collect()
}

fn ours() -> Filter {
    Filter { tenant: Some("t".into()), ..Filter::default() }
}

/// Invocations of two tenants, several agents, sessions, labels and ends, newest first, with what they are.
async fn fill(store: &Port) -> Vec<(Accepted, Status)> {
    let mut all = Vec::new();
    for n in 0..48 {
        let accepted = Accepted {
            tenant: if n % 7 == 6 { "u" } else { "t" }.into(),
            agent: ["a", "b", "c"][n as usize % 3].into(),
            session: (n % 4 == 1).then(|| format!("s{}", n % 8)),
            labels: labels(match n % 5 {
                0 => &[("team", "risk"), ("env", "test")],
                1 => &[("team", "risk")],
                2 => &[("team", "care"), ("env", "test")],
                _ => &[],
            }),
            ..at(n)
        };
        accept(store, &accepted).await;
        let id = accepted.id;
        let status = match n % 6 {
            0 => {
                let lease = leased(store, id).await;
                became(settle(store, id, complete(lease)).await)
            }
            1 => became(settle(store, id, Change::Cancel { tenant: None, why: "w".into() }).await),
            2 => became(settle(store, id, Change::Expire).await),
            3 if accepted.session.is_none() => {
                leased(store, id).await;
                Status::Leased
            }
            4 => {
                let lease = leased(store, id).await;
                settle(store, id, fail(lease)).await;
                let lease = leased(store, id).await;
                became(settle(store, id, fail(lease)).await)
            }
            _ => Status::Queued,
        };
        if status == Status::Queued && accepted.session.is_some() {
            // Later members of its session are to be leased.
            settle(store, id, Change::Cancel { tenant: None, why: "w".into() }).await;
            all.push((accepted, Status::Cancelled));
        } else {
            all.push((accepted, status));
        }
    }
    all.reverse();
    all
}

fn matches(filter: &Filter, accepted: &Accepted, status: Status) -> bool {
    filter.tenant.as_deref().is_none_or(|tenant| tenant == &*accepted.tenant)
        && filter.agent.as_deref().is_none_or(|agent| agent == &*accepted.agent)
        && (filter.session.is_none() || filter.session == accepted.session)
        && (filter.statuses.is_empty() || filter.statuses.contains(&status))
        && filter.labels.iter().all(|(name, value)| accepted.labels.get(name) == Some(value))
        && filter.created.from.is_none_or(|from| accepted.at >= from)
        && filter.created.until.is_none_or(|until| accepted.at < until)
        && (filter.ended == Period::default() || status.is_terminal())
        && filter.beyond.is_none_or(|id| if filter.oldest_first { accepted.id > id } else { accepted.id < id })
}

/// Every combination of conditions.
fn filters(middle: Uuid) -> Vec<Filter> {
    let mut filters = vec![ours(), Filter::default()];
    let mut vary = |change: &dyn Fn(&mut Filter)| {
        let changed: Vec<Filter> = filters
            .iter()
            .cloned()
            .map(|mut filter| {
                change(&mut filter);
                filter
            })
            .collect();
        filters.extend(changed);
    };
    vary(&|filter| filter.agent = Some("b".into()));
    vary(&|filter| filter.session = Some("s1".into()));
    vary(&|filter| filter.statuses = vec![Status::Dead, Status::Queued, Status::Failed]);
    vary(&|filter| filter.statuses.push(Status::Succeeded));
    vary(&|filter| filter.labels = pairs(&[("env", "test"), ("team", "risk")]));
    vary(&|filter| filter.created = Period { from: Some(T0 + 5 * HOUR), until: Some(T0 + 40 * HOUR) });
    vary(&|filter| filter.oldest_first = true);
    vary(&|filter| filter.beyond = Some(middle));
    filters
}

pub(crate) async fn a_list_shows_exactly_what_matches_all_of_its_filter(store: Port) {
    let all = fill(&store).await;
    let middle = all[20].0.id;
    let kinds: BTreeSet<i64> = all.iter().map(|(_, status)| status.number()).collect();
    assert_eq!(kinds.len(), 6, "every state is there");
    for filter in filters(middle) {
        let mut expected: Vec<Uuid> = all
            .iter()
            .filter(|(accepted, status)| matches(&filter, accepted, *status))
            .map(|(accepted, _)| accepted.id)
            .collect();
        if filter.oldest_first {
            expected.reverse();
        }
        assert_eq!(ids(&store, filter.clone()).await, expected, "{filter:?}");
        if expected.len() > 3 {
            expected.truncate(3);
            assert_eq!(ids(&store, Filter { limit: 3, ..filter.clone() }).await, expected, "{filter:?}");
        }
    }
}

pub(crate) async fn ends_are_found_by_their_time(store: Port) {
    let (early, late, never) = (at(1), at(2), at(3));
    for accepted in [&early, &late, &never] {
        accept(&store, accepted).await;
    }
    for (id, now) in [(early.id, T0 + 10 * HOUR), (late.id, T0 + 20 * HOUR)] {
        one(&store, Command::Settle(Box::new(Settle { id, now, change: Change::Expire }))).await;
    }
    let ended = |from, until| Filter { ended: Period { from, until }, ..ours() };
    assert_eq!(ids(&store, ended(Some(T0 + 10 * HOUR), None)).await, [late.id, early.id]);
    assert_eq!(ids(&store, ended(None, Some(T0 + 20 * HOUR))).await, [early.id]);
    assert_eq!(ids(&store, ended(Some(T0 + 11 * HOUR), Some(T0 + 20 * HOUR))).await, Vec::<Uuid>::new());
}

pub(crate) async fn a_redriven_invocation_moves_between_lists(store: Port) {
    let accepted = at(1);
    accept(&store, &accepted).await;
    settle(&store, accepted.id, Change::Expire).await;
    let of = |status| Filter { statuses: vec![status], ..ours() };
    assert_eq!(ids(&store, of(Status::Failed)).await, [accepted.id]);
    let redrive = crate::store::Redrive {
        id: accepted.id,
        tenant: None,
        redrive: Uuid::now_v7(),
        statuses: vec![Status::Failed],
        deadline: None,
        ready_at: NOW,
        now: NOW,
    };
    one(&store, Command::Redrive(Box::new(redrive))).await;
    assert_eq!(ids(&store, of(Status::Failed)).await, Vec::<Uuid>::new());
    assert_eq!(ids(&store, of(Status::Queued)).await, [accepted.id]);
}
