//! A rehearsal: the same day on both sides, one after the other.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::away::{Processes, Usual};
use crate::day::{Day, Terms};
use crate::ends::Ends;
use crate::error::Error;
use crate::mesh::Mesh;
use crate::outcome::{Outcome, Side};
use crate::play::Play;
use crate::progress::Progress;
use crate::scenario::{Scenario, Which};
use crate::stage::Place;
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
#[derive(Debug)]
pub enum Ground {
    /// On meshes of its own, started as this executable with `up`.
    Own(PathBuf),
    /// On a mesh that runs with the settings of the protected side. That side alone is played.
    Running(Place),
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
        let day = Day::plan(&self.scenario, self.terms);
        let (off, on) = match &self.on {
            Ground::Own(executable) => {
                let off = self.side(Which::Off, executable, &day, stop).await?;
                (Some(off), self.side(Which::On, executable, &day, stop).await?)
            }
            Ground::Running(place) => {
                self.check(place, &day).await?;
                let ends = Ends::at(&place.simulator);
                let usual = Usual::of(&ends, self.scenario.tools(Which::On, day.seed)).await?;
                let played = self.play(Which::On, place, None, &day, stop).await;
                // However it ended: somebody goes on to use this mesh.
                if !day.outages.is_empty() {
                    usual.give_back(&ends).await?;
                }
                (None, played?)
            }
        };
        Ok(self.outcome(&day, off, on))
    }

    /// One side on a mesh of its own, which ends with it.
    async fn side(
        &self,
        which: Which,
        executable: &PathBuf,
        day: &Day,
        stop: &CancellationToken,
    ) -> Result<Side, Error> {
        let configuration = self.scenario.configuration(which, day.seed);
        let mesh = Mesh::start(executable, &configuration, &self.scenario.keys(which), stop).await?;
        let played = self.play(which, &mesh.place(), mesh.processes(), day, stop).await;
        mesh.stop().await;
        played
    }

    async fn play(
        &self,
        which: Which,
        place: &Place,
        processes: Option<Processes>,
        day: &Day,
        stop: &CancellationToken,
    ) -> Result<Side, Error> {
        let play = Play { scenario: &self.scenario, which, place, processes, day, progress: self.progress };
        stop.run_until_cancelled(play.run()).await.unwrap_or(Err(Error::Interrupted))
    }

    /// Nobody pays for a rehearsal: a mesh that runs is driven only where its models are the simulator's. And nobody's services
    /// are killed for it.
    async fn check(&self, place: &Place, day: &Day) -> Result<(), Error> {
        if day.outages.iter().any(|outage| outage.what.service().is_some()) {
            let ours = "services are taken away only from a mesh of the rehearsal's own: leave out --address";
            return Err(Error::Mesh(ours.into()));
        }
        if !self.scenario.tenants.is_empty() {
            return Err(Error::Mesh("whose workers serve several tenants is played on a mesh of its own only".into()));
        }
        let (name, ends) = (&self.scenario.name, Ends::at(&place.simulator));
        for key in self.scenario.model_keys(day.seed) {
            if !ends.knows(&key).await? {
                return Err(Error::Mesh(format!(
                    "the simulator at {} does not know the key {key:?}: start the mesh with what `holdfast rehearse {name} \
                     --settings on` prints",
                    place.simulator
                )));
            }
        }
        Ok(())
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
        add("a caller waits", scenario.time.deadline.to_string());
        match &scenario.played {
            None => add("shared records", scenario.agent.records.to_string()),
            Some(own) => {
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
        let on = Ground::Running(place);
        let rehearsal = Rehearsal { scenario, terms: Terms::default(), on, progress: Progress::Silent };
        let refused = rehearsal.run(&CancellationToken::new()).await.expect_err("it is refused").to_string();
        assert!(refused.contains("leave out --address"), "{refused}");
    }
}
