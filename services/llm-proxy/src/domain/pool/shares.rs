//! The limits of a pool that other processes share: what is needed of them, and when there is something to say.

use std::{sync::Arc, time::Duration};

use super::{Blocked, Key, Lane, Need, Pool};
use crate::domain::{
    line::Load,
    meter::{Kind, Meter},
    stock::Stock,
};

/// How limits are divided between the ledger and the processes that may lose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// The part of every limit that the ledger never grants.
    pub(crate) reserve_percent: u32,
    /// The most processes that there are: each has an equal part of the reserve.
    pub(crate) processes_max: u32,
}

impl Shares {
    /// What the ledger may grant of a limit, and what each process may use without it.
    pub(crate) fn of(self, limit: u64) -> (u64, u64) {
        let reserve = u128::from(limit) * u128::from(self.reserve_percent) / 100;
        let reserve = u64::try_from(reserve).unwrap_or(limit);
        (limit - reserve, reserve / u64::from(self.processes_max.max(1)))
    }

    /// What each process may use of a limit that is in no ledger.
    pub(crate) fn part(self, limit: u64) -> u64 {
        limit / u64::from(self.processes_max.max(1))
    }
}

impl Pool {
    /// The limits of the keys that come from here on are shared.
    pub(crate) fn share(&mut self, shares: Option<Shares>) {
        self.shares = shares;
    }

    /// Each stock, by a name that all processes give it, and the group of those that a call takes from together.
    pub(crate) fn stocks(&mut self, visit: &mut dyn FnMut(&Arc<str>, u32, &mut Stock)) {
        let mut group = 0;
        for id in &self.in_use {
            let Some(key) = self.keys.get_mut(id) else { continue };
            let (lanes, of_key) = (&self.lanes, Arc::clone(&key.name));
            key.books_mut().for_each(|(lane, book)| {
                group += 1;
                for (kind, meter) in book.meters_mut() {
                    if let Meter::Stock(name, stock) = meter {
                        if name.is_empty() {
                            *name = stock_name(&of_key, lane.map(|lane| &*lanes[usize::from(lane.0)]), kind);
                        }
                        visit(name, group, stock);
                    }
                }
            });
        }
    }

    /// Tells each stock what those in line need of it. When the ledger should hear from this process; `None` where nothing
    /// is shared, or nothing is new.
    pub(crate) fn shares_due(&mut self, now: Duration) -> Option<Duration> {
        self.shares?;
        let head = self.line.next(&Blocked::default()).map(|waiter| (waiter.want.lane, waiter.want.need));
        let lanes: Vec<_> = (0..self.lanes.len()).map(|lane| Lane(lane as u16)).collect();
        let loads: Vec<_> =
            lanes.iter().map(|lane| if head.is_some() { self.line.load(*lane) } else { Load::default() }).collect();
        let mut due: Option<Duration> = None;
        for id in &self.in_use {
            let Some(key) = self.keys.get_mut(id) else { continue };
            let rests = key.usable_at() > now;
            for (lane, book) in key.books_mut() {
                let all: Load = match lane {
                    _ if rests => Load::default(),
                    None => loads.iter().copied().sum(),
                    Some(lane) => loads[usize::from(lane.0)],
                };
                let first = match head {
                    Some((of, need)) if lane.is_none_or(|lane| lane == of) => need,
                    _ => average(all),
                };
                for (kind, meter) in book.meters_mut() {
                    let first = if all.calls == 0 { 0 } else { kind.parts(first).within(meter.limit()).sum() };
                    if let Meter::Stock(_, stock) = meter {
                        stock.demanded(now, amount(kind, all).max(first), first);
                        due = due.into_iter().chain(stock.due(now)).min();
                    }
                }
            }
        }
        due
    }

    /// Whether there are limits that are shared, and every one of them is.
    pub(super) fn is_shared(&mut self, now: Duration) -> bool {
        let (mut some, mut all) = (false, true);
        self.stocks(&mut |_, _, stock| {
            some = true;
            all &= stock.is_leased(now);
        });
        some && all
    }

    /// Until when a call that was just granted a key may leave: what was granted by a lease is good for as long.
    pub(crate) fn good_until(&self, now: Duration, key: super::KeyId) -> Duration {
        let leases = self.keys.get(&key).into_iter().flat_map(Key::books).flat_map(|book| book.meters());
        let until = leases.filter_map(|(_, meter)| match meter {
            Meter::Stock(_, stock) if stock.is_leased(now) => Some(stock.lease_until()),
            _ => None,
        });
        until.min().unwrap_or(Duration::MAX)
    }
}

fn stock_name(key: &str, model: Option<&str>, kind: Kind) -> Arc<str> {
    // The ledger has blanks between names.
    let plain = |text: &str| text.replace(|c: char| c.is_whitespace() || c == ':', "_");
    match model {
        Some(model) => format!("{}/{}/{kind:?}", plain(key), plain(model)).into(),
        None => format!("{}/{kind:?}", plain(key)).into(),
    }
}

fn average(load: Load) -> Need {
    let calls = load.calls.max(1);
    Need { input: load.input.div_ceil(calls), output: load.output.div_ceil(calls) }
}

fn amount(kind: Kind, load: Load) -> u64 {
    match kind {
        Kind::Requests | Kind::RequestsPerDay | Kind::Concurrency => load.calls,
        _ => kind.parts(Need { input: load.input, output: load.output }).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_ledger_grants_and_what_all_use_without_it_are_no_more_than_the_limit() {
        for limit in [0, 1, 7, 20, 600, 2_000_000, u64::MAX] {
            for reserve_percent in [0, 2, 40, 100] {
                for processes_max in [1, 3, 8] {
                    let (granted, share) = Shares { reserve_percent, processes_max }.of(limit);
                    let shares = u128::from(share) * u128::from(processes_max);
                    assert!(u128::from(granted) + shares <= u128::from(limit), "{reserve_percent}% of {limit}");
                }
            }
        }
        assert_eq!(Shares { reserve_percent: 40, processes_max: 8 }.of(20), (12, 1));
    }
}
