//! A rehearsal: the same day on both sides, one after the other.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::away::Usual;
use crate::day::{Day, Terms};
use crate::ends::Ends;
use crate::error::Error;
use crate::guard::Guard;
use crate::mesh::Mesh;
use crate::outcome::{self, Outcome, Side};
use crate::play::{Own, Play};
use crate::progress::Progress;
use crate::scenario::{Scenario, Which};
use crate::stage::Place;
use crate::stores::{Found, Stores, Wanted};
use crate::verdict;

/// What is to be rehearsed.
#[derive(Debug)]
pub struct Rehearsal {
    /// The scenario.
    pub scenario: Scenario,
    /// What the command line says of the day.
    pub terms: Terms,
    /// Where: on meshes of its own, or on one that runs.
    pub on: Ground,
    /// Who is told how far it is.
    pub progress: Progress,
}

/// Where a rehearsal takes place.
#[derive(Debug, Clone)]
pub enum Ground {
    /// On meshes of its own, started as this executable with `up`.
    Own(PathBuf),
    /// On a mesh that runs with the settings of the protected side. That side alone is played.
    Running {
        /// Where it is.
        place: Place,
        /// Whether somebody insists on it, whatever stands behind it.
        insists: bool,
    },
}

impl Rehearsal {
    /// Plays it. When it is asked to stop, everything that it started is ended first.
    ///
    /// # Errors
    /// There is no mesh to play on, or it was asked to stop.
    pub async fn run(&self, stop: &CancellationToken) -> Result<Outcome, Error> {
        // Whoever installed another one before has the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        self.scenario.check(self.terms)?;
        let wanted = match &self.on {
            Ground::Own(_) => Wanted::by(&self.scenario),
            Ground::Running { .. } => Wanted::default(),
        };
        wanted.left_out().for_each(|left_out| self.progress.say(&left_out));
        let missing: Vec<_> = wanted.missing.iter().map(|(store, _)| *store).collect();
        let scenario = self.scenario.clone().without(&missing);
        let played = Self { scenario, terms: self.terms, on: self.on.clone(), progress: self.progress };
        played.scenario.check(self.terms)?;
        let mut outcome = played.sides(&wanted.found, stop).await?;
        outcome.terms.extend(wanted.left_out().map(|left_out| (outcome::LEFT_OUT.to_owned(), left_out)));
        Ok(outcome)
    }

    /// On a mesh of its own both sides, each on databases of these kinds.
    async fn sides(&self, found: &[Found], stop: &CancellationToken) -> Result<Outcome, Error> {
        let day = Day::plan(&self.scenario, self.terms);
        let (off, on) = match &self.on {
            Ground::Own(executable) => {
                let off = self.side(Which::Off, executable, found, &day, stop).await?;
                (Some(off), self.side(Which::On, executable, found, &day, stop).await?)
            }
            Ground::Running { place, insists } => {
                let ends = Ends::at(&place.simulator);
                let guard = Guard { scenario: &self.scenario, place, ends: &ends, day: &day, insists: *insists };
                guard.admit().await?;
                let usual = Usual::of(&ends, self.scenario.tools(Which::On, day.seed)).await?;
                let own = Own { processes: None, stores: &Stores::default() };
                let played = self.play(Which::On, place, own, &day, stop).await;
                // However it ended: somebody goes on to use this mesh.
                if !day.outages.is_empty() {
                    usual.give_back(&ends).await?;
                }
                (None, played?)
            }
        };
        Ok(self.outcome(&day, off, on))
    }

    /// One side on databases and a mesh of its own, which end with it.
    async fn side(
        &self,
        which: Which,
        executable: &PathBuf,
        found: &[Found],
        day: &Day,
        stop: &CancellationToken,
    ) -> Result<Side, Error> {
        let mut stores = Stores::start(found, stop).await?;
        let configuration = self.scenario.clone().with(&stores.settings()).configuration(which, day.seed);
        let played = match Mesh::start(executable, &configuration, &self.scenario.keys(which), stop).await {
            Ok(mesh) => self.on_own(which, mesh, &stores, day, stop).await,
            Err(why) => Err(why),
        };
        stores.stop().await;
        played
    }

    /// Plays for as long as all stands on which it is played.
    async fn on_own(
        &self,
        which: Which,
        mut mesh: Mesh,
        stores: &Stores,
        day: &Day,
        stop: &CancellationToken,
    ) -> Result<Side, Error> {
        let (place, own) = (mesh.place(), Own { processes: mesh.processes(), stores });
        let played = tokio::select! {
            played = self.play(which, &place, own, day, stop) => played,
            why = mesh.ends_by_itself() => Err(why),
            why = stores.end_by_themselves() => Err(why),
        };
        // Whoever plays may see first that nobody answers any more; why that is says more.
        let played = match (played, mesh.has_ended()) {
            (Err(failed), Some(why)) if !matches!(failed, Error::Interrupted) => Err(why),
            (played, _) => played,
        };
        mesh.stop().await;
        played
    }

    async fn play(
        &self,
        which: Which,
        place: &Place,
        own: Own<'_>,
        day: &Day,
        stop: &CancellationToken,
    ) -> Result<Side, Error> {
        let play = Play { scenario: &self.scenario, which, place, own, day, progress: self.progress };
        stop.run_until_cancelled(play.run()).await.unwrap_or(Err(Error::Interrupted))
    }

    fn outcome(&self, day: &Day, off: Option<Side>, on: Side) -> Outcome {
        let scenario = &self.scenario;
        let failures = off.as_ref().map(|off| verdict::failures(&scenario.failures, off)).unwrap_or_default();
        Outcome {
            scenario: scenario.name.clone(),
            title: scenario.title.clone(),
            story: scenario.story.trim().to_owned(),
            factor: scenario.time.factor,
            seed: day.seed,
            terms: self.terms(day),
            promises: verdict::promises(&scenario.promises, &on),
            failures,
            off,
            on,
        }
    }

    /// The settings of this run, for people.
    fn terms(&self, day: &Day) -> Vec<(String, String)> {
        let scenario = &self.scenario;
        let mut terms: Vec<(String, String)> = Vec::new();
        if let Some(short) = scenario.short_form(day.arrivals.len()) {
            terms.push(("short form".into(), short));
        }
        for phase in &scenario.phases {
            let paces = scenario.paces(phase, self.terms);
            let mut pace = format!("{:.0} invocations a day, for {}", paces.iter().sum::<f64>(), phase.length);
            if let Some(of) = &phase.of {
                let theirs = scenario.tenants.iter().zip(&paces).find(|(tenant, _)| tenant.name == *of);
                pace += &theirs.map_or_else(String::new, |(_, theirs)| format!(": {theirs:.0} of them are {of}'s"));
            }
            terms.push((phase.text.clone(), pace));
        }
        let here = day.length.as_secs_f64();
        let mut add = |name: &str, value: String| terms.push((name.to_owned(), value));
        add("invocations", day.arrivals.len().to_string());
        add("time", format!("{} times as fast: {here:.0} s a side", scenario.time.factor));
        if !scenario.wants_own() {
            add("workers", scenario.pool.workers.to_string());
        }
        if !scenario.tenants.is_empty() {
            let names: Vec<_> = scenario.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
            add("tenants", names.join(", "));
        }
        if matches!(self.on, Ground::Running { insists: true, .. }) {
            add(
                "not known",
                "what ends refused and charged that are not simulated: nobody looked behind this mesh".into(),
            );
        }
        add("a caller waits", scenario.time.deadline.to_string());
        match &scenario.played {
            None => add("shared records", scenario.agent.records.to_string()),
            Some(own) => {
                add("configuration", own.written.origin.clone());
                add("agents", own.agents.join(", "));
                own.told.iter().for_each(|told| add("not as configured", told.clone()));
                add(
                    "not known",
                    "waits for a worker, and what is right in an answer: the agents are not the rehearsal's own".into(),
                );
            }
        }
        terms
    }
}

/// How often it is looked: often enough for a curve, and not so often that it costs anything.
pub(crate) fn look_every(length: Duration) -> Duration {
    (length / 120).clamp(Duration::from_millis(100), Duration::from_secs(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobodys_running_services_are_killed_nor_is_anything_played_before_that_is_said() {
        // Nobody listens there: whoever asked would say so.
        let nowhere = || "http://127.0.0.1:1".to_owned();
        let place = Place { gateway: nowhere(), simulator: nowhere(), key: String::new(), inside: None };
        let scenario = Scenario::find("blackout").expect("it is built in");
        let on = Ground::Running { place, insists: true };
        let rehearsal = Rehearsal { scenario, terms: Terms::default(), on, progress: Progress::Silent };
        let refused = rehearsal.run(&CancellationToken::new()).await.expect_err("it is refused").to_string();
        assert!(refused.contains("leave out --address"), "{refused}");
    }
}
