//! One side of a rehearsal, from the first arrival to the last record read back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_config::Peer;
use holdfast_rpc::Channel;
use holdfast_sdk::Client;
use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use crate::away::{Hand, Processes};
use crate::caller::{Callers, Ended};
use crate::day::Day;
use crate::ends::Ends;
use crate::error::Error;
use crate::outcome::Side;
use crate::pool::{Accounts, Ledger, Pool, Task, books::Books};
use crate::progress::{Bar, Progress};
use crate::rehearsal::look_every;
use crate::scenario::{Scenario, Which};
use crate::side::{Insight, Record};
use crate::stage::Place;
use crate::stores::Stores;
use crate::watch::Watch;

/// A side, about to be played.
pub(crate) struct Play<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) which: Which,
    pub(crate) place: &'a Place,
    pub(crate) own: Own<'a>,
    pub(crate) day: &'a Day,
    pub(crate) progress: Progress,
}

/// What is ours of the mesh, and may be killed.
pub(crate) struct Own<'a> {
    /// None where the mesh is somebody else's.
    pub(crate) processes: Option<Processes>,
    pub(crate) stores: &'a Stores,
}

impl Play<'_> {
    /// Plays it.
    pub(crate) async fn run(&self) -> Result<Side, Error> {
        let keys = self.scenario.shown(self.which, &self.place.key);
        let callers = keys.iter().map(|key| Callers::new(self.scenario, self.which, self.place, key));
        let callers = callers.collect::<Result<Vec<_>, _>>()?;
        let ends = Ends::at(&self.place.simulator);
        let before = ends.tally().await?;
        let mut pool = Pool::start(self.scenario, self.which, self.place)?;
        let floor = Arc::clone(&pool.floor);
        let bar = self.progress.side(self.which, self.day.length + callers[0].deadline());
        let (every, mut looks) = (look_every(self.day.length), Vec::new());
        let watch = Watch { ends: &ends, floor: &floor, channel: self.looking(&callers[0])?, bar: &bar };
        let tools = self.scenario.tools(self.which, self.day.seed);
        let (processes, presence) = (self.own.processes.clone(), pool.presence.clone());
        let hand = Hand { ends: &ends, processes, stores: self.own.stores, pool: presence, tools };
        let began = Instant::now();
        let ended = tokio::select! {
            played = async { tokio::try_join!(self.drive(began, &callers, &bar), hand.play(began, &self.day.outages)) } => played?.0,
            never = watch.run(every, &mut looks) => match never {},
            refused = pool.refused() => return Err(refused),
        };
        let (books, accounts, stalled) = (pool.books.clone(), pool.accounts.clone(), pool.floor.stalled());
        // What is still being written is nobody's any more; the records stand still once its workers have gone.
        pool.stop().await?;
        let after = ends.tally().await?;
        // What was counted is known only where the same simulator counted it from beginning to end.
        let counts: Vec<_> = [before].into_iter().chain(looks.iter().map(|look| look.tally)).chain([after]).collect();
        if counts.windows(2).any(|pair| pair[1].is_less_than(&pair[0])) {
            return Err(Error::Mesh(format!(
                "the simulator at {} was started anew in the middle, so its counts say nothing: rehearse again",
                self.place.simulator
            )));
        }
        for look in &mut looks {
            look.tally = look.tally - before;
        }
        let insight = match self.scenario.wants_own() {
            true => None,
            false => {
                let (cut_off, left_lying) = books.count_cut_off();
                self.forget().await?;
                let lost_updates = self.lost(&books, &accounts, &keys).await?;
                let write_timeouts = books.write_timeouts();
                Some(Insight { stalled, write_timeouts, lost_updates, cut_off, left_lying })
            }
        };
        let record = Record {
            began,
            whose: ended.iter().map(|ended| self.day.whose[ended.number as usize]).collect(),
            tenants: self.scenario.tenants.iter().map(|tenant| tenant.name.clone()).collect(),
            begun: ended.iter().map(|ended| books.begun(ended.number)).collect(),
            late: ended.iter().map(|ended| self.late(began, ended)).collect(),
            ended,
            looks,
            every,
            tally: after - before,
            insight,
            marks: self.day.phases.clone(),
        };
        Ok(record.side())
    }

    /// An open loop: every caller comes when the day says so, whatever became of those before.
    async fn drive(&self, began: Instant, callers: &[Callers], bar: &Bar) -> Result<Vec<Ended>, Error> {
        let (mut calls, mut ended) = (JoinSet::new(), Vec::with_capacity(self.day.arrivals.len()));
        let mut note = |call: Result<Ended, tokio::task::JoinError>| {
            let call = call.map_err(|error| Error::Machine(format!("a caller broke: {error}")))?;
            bar.end(call.end.is_well());
            ended.push(call);
            Ok::<_, Error>(())
        };
        let records = self.scenario.agent.records;
        for ((number, after), tenant) in (0..).zip(&self.day.arrivals).zip(&self.day.whose) {
            sleep_until((began + *after).into()).await;
            bar.offer();
            let record = *tenant as u64 * records + record_of(number, records, self.day.seed);
            let task = Task { number, record, tenant: *tenant };
            calls.spawn(callers[*tenant].clone().run(task));
            while let Some(call) = calls.try_join_next() {
                note(call)?;
            }
        }
        while let Some(call) = calls.join_next().await {
            note(call)?;
        }
        Ok(ended)
    }

    /// How much later than planned an invocation was asked for.
    fn late(&self, began: Instant, ended: &Ended) -> Duration {
        let planned = self.day.arrivals.get(ended.number as usize).copied().unwrap_or_default();
        ended.asked.saturating_duration_since(began + planned)
    }

    /// Where it is seen what waits: at the queue, where it is of several tenants, for the gateway shows one's.
    fn looking(&self, callers: &Callers) -> Result<Channel, Error> {
        match &self.place.inside {
            Some(inside) if !self.scenario.tenants.is_empty() => {
                let channel = Channel::connect("queue", inside.url(Peer::Queue), None, None);
                channel.map_err(|error| Error::Mesh(error.to_string()))
            }
            _ => Ok(callers.channel()),
        }
    }

    /// On a mesh of our own, what is read back is what was stored: whoever keeps records in memory ends before. Where things were
    /// taken away, it is killed, as they were; else it is asked to, and may store first what it has acknowledged.
    async fn forget(&self) -> Result<(), Error> {
        let Some(processes) = &self.own.processes else { return Ok(()) };
        if self.day.outages.is_empty() {
            return processes.restart(Peer::State, Signal::TERM).await;
        }
        self.own.stores.forget().await?;
        processes.restart(Peer::State, Signal::KILL).await
    }

    /// Reads every record back, each in its own tenant: the acknowledged updates that are in none.
    async fn lost(&self, books: &Books, accounts: &Accounts, keys: &[String]) -> Result<u64, Error> {
        let unread = |error: holdfast_sdk::Error| Error::Mesh(format!("the records cannot be read back: {error}"));
        let (mut lost, agent) = (0, &self.scenario.agent);
        let end = Instant::now() + READ_WITHIN;
        for (tenant, key) in (0..).zip(keys) {
            let client = Client::connect(&self.place.gateway, key).map_err(unread)?;
            let state = client.state();
            for number in (0..agent.records).map(|number| tenant * agent.records + number) {
                let address = accounts.address(number);
                let record = loop {
                    match state.get(&address).await {
                        Ok(record) => break record,
                        Err(error) if !is_passing(&error) || Instant::now() >= end => return Err(unread(error)),
                        // It may have ended a moment ago.
                        Err(_) => sleep(READ_AGAIN).await,
                    }
                };
                lost += books.lost(number, &Ledger::of(record.as_ref()));
            }
        }
        Ok(lost)
    }
}

/// Until when all records must have been read, where state takes its time to come back: much more than it takes.
const READ_WITHIN: Duration = Duration::from_secs(120);
const READ_AGAIN: Duration = Duration::from_millis(200);

fn is_passing(error: &holdfast_sdk::Error) -> bool {
    use holdfast_sdk::Error::{Busy, Deadline, Unavailable};
    matches!(error, Busy { .. } | Deadline { .. } | Unavailable { .. })
}

/// Which record an invocation is about: any with the same likelihood, the same on both sides.
fn record_of(number: u64, records: u64, seed: u64) -> u64 {
    // SplitMix64: neighbouring numbers fall far from each other.
    let mut mixed = number.wrapping_add(seed).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_met_alike() {
        let mut met = [0_u32; 50];
        (0..12_000).for_each(|number| met[record_of(number, 50, 4) as usize] += 1);
        assert!(met.iter().all(|count| (170..310).contains(count)), "{met:?}");
    }
}
