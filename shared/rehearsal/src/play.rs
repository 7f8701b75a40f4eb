//! One side of a rehearsal, from the first arrival to the last record read back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_sdk::Client;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::away::{Hand, Processes};
use crate::caller::{Callers, Ended};
use crate::day::Day;
use crate::ends::Ends;
use crate::error::Error;
use crate::outcome::Side;
use crate::pool::{Ledger, Pool, Task, account, books::Books};
use crate::progress::{Bar, Progress};
use crate::rehearsal::look_every;
use crate::scenario::{Scenario, Which};
use crate::side::Record;
use crate::stage::Place;
use crate::watch::Watch;

/// A side, about to be played.
pub(crate) struct Play<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) which: Which,
    pub(crate) place: &'a Place,
    /// None where the mesh is not ours.
    pub(crate) processes: Option<Processes>,
    pub(crate) day: &'a Day,
    pub(crate) progress: Progress,
}

impl Play<'_> {
    /// Plays it.
    pub(crate) async fn run(&self) -> Result<Side, Error> {
        let callers = Callers::new(self.scenario, self.which, self.place)?;
        let ends = Ends::at(&self.place.simulator);
        let before = ends.tally().await?;
        let mut pool = Pool::start(self.scenario, self.which, self.place);
        let floor = Arc::clone(&pool.floor);
        let bar = self.progress.side(self.which, self.day.length + callers.deadline());
        let (every, mut looks) = (look_every(self.day.length), Vec::new());
        let watch = Watch { ends: &ends, floor: &floor, channel: callers.channel(), bar: &bar };
        let tools = self.scenario.tools(self.which, self.day.seed);
        let hand = Hand { ends: &ends, processes: self.processes, tools };
        let began = Instant::now();
        let ended = tokio::select! {
            played = async { tokio::try_join!(self.drive(began, &callers, &bar), hand.play(began, &self.day.outages)) } => played?.0,
            never = watch.run(every, &mut looks) => match never {},
            refused = pool.refused() => return Err(refused),
        };
        let (books, stalled) = (pool.books.clone(), pool.floor.stalled());
        // What is still being written is nobody's any more; the records stand still once its workers have gone.
        pool.stop().await?;
        for look in &mut looks {
            look.tally = look.tally - before;
        }
        let record = Record {
            began,
            begun: ended.iter().map(|ended| books.begun(ended.number)).collect(),
            late: ended.iter().map(|ended| self.late(began, ended)).collect(),
            ended,
            looks,
            every,
            tally: ends.tally().await? - before,
            stalled,
            write_timeouts: books.write_timeouts(),
            lost_updates: self.lost(&books).await?,
            marks: self.day.phases.clone(),
        };
        Ok(record.side())
    }

    /// An open loop: every caller comes when the day says so, whatever became of those before.
    async fn drive(&self, began: Instant, callers: &Callers, bar: &Bar) -> Result<Vec<Ended>, Error> {
        let (mut calls, mut ended) = (JoinSet::new(), Vec::with_capacity(self.day.arrivals.len()));
        let mut note = |call: Result<Ended, tokio::task::JoinError>| {
            let call = call.map_err(|error| Error::Machine(format!("a caller broke: {error}")))?;
            bar.end(call.end.is_well());
            ended.push(call);
            Ok::<_, Error>(())
        };
        for (number, after) in (0..).zip(&self.day.arrivals) {
            sleep_until((began + *after).into()).await;
            bar.offer();
            let task = Task { number, record: record_of(number, self.scenario.agent.records, self.day.seed) };
            calls.spawn(callers.clone().run(task));
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

    /// Reads every record back: the acknowledged updates that are in none.
    async fn lost(&self, books: &Books) -> Result<u64, Error> {
        if self.scenario.wants_own() {
            return Ok(0);
        }
        let unread = |error: holdfast_sdk::Error| Error::Mesh(format!("the records cannot be read back: {error}"));
        let client = Client::connect(&self.place.gateway, &self.place.key).map_err(unread)?;
        let (state, agent) = (client.timeout(READ_WITHIN).state(), &self.scenario.agent);
        let mut lost = 0;
        for number in 0..agent.records {
            let record = state.get(&account(&agent.namespace, number)).await.map_err(unread)?;
            lost += books.lost(number, &Ledger::of(record.as_ref()));
        }
        Ok(lost)
    }
}

const READ_WITHIN: Duration = Duration::from_secs(60);

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
