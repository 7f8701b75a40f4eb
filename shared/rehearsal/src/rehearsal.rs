//! A rehearsal: the same day on both sides, one after the other.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::away::Processes;
use crate::day::{Day, Terms, a_day};
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
        let day = Day::plan(&self.scenario, self.terms);
        let (off, on) = match &self.on {
            Ground::Own(executable) => {
                let off = self.side(Which::Off, executable, &day, stop).await?;
                (Some(off), self.side(Which::On, executable, &day, stop).await?)
            }
            Ground::Running(place) => {
                self.check(place).await?;
                (None, self.play(Which::On, place, None, &day, stop).await?)
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
        let mesh = Mesh::start(executable, &configuration, stop).await?;
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

    /// Nobody pays for a rehearsal: a mesh that runs is driven only where its models are the simulator's.
    async fn check(&self, place: &Place) -> Result<(), Error> {
        let (name, key) = (&self.scenario.name, &self.scenario.agent.model_key);
        match Ends::at(&place.simulator).knows(key).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Mesh(format!(
                "the simulator at {} does not know the key {key:?}: start the mesh with what `holdfast rehearse {name} \
                 --settings on` prints",
                place.simulator
            ))),
            Err(error) => Err(error),
        }
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
            let pace = a_day(scenario, phase, self.terms);
            terms.push((phase.text.clone(), format!("{pace:.0} invocations a day, for {}", phase.length)));
        }
        let here = day.length.as_secs_f64();
        let mut add = |name: &str, value: String| terms.push((name.to_owned(), value));
        add("invocations", day.arrivals.len().to_string());
        add("time", format!("{} times as fast: {here:.0} s a side", scenario.time.factor));
        if !scenario.wants_own() {
            add("workers", scenario.pool.workers.to_string());
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
