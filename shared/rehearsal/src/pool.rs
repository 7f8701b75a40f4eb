//! The pool: workers by the SDK, with an agent whose every step is the rehearsal's own, so that it knows what was acknowledged to
//! whom, and when.

pub(crate) mod books;
mod clerk;
mod floor;
mod ledger;
mod model;
mod shifts;

use std::sync::Arc;
use std::time::Duration;

use holdfast_config::Common;
use holdfast_sdk::{Context, Endpoints, Json, Worker};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::Error;
use crate::scenario::{Scenario, Which};
use crate::stage::Place;
use books::Books;
use clerk::Clerk;
pub(crate) use clerk::{Answer, Task};
pub(crate) use floor::Floor;
pub(crate) use ledger::{Accounts, Ledger};
pub(crate) use shifts::Presence;

/// Nobody waits for work that nobody waits for.
const DRAIN: Duration = Duration::from_millis(200);

/// How long agents wait for a tool-proxy that is away, on the day: what the SDK does without being told.
const TOOL_PATIENCE: Duration = Duration::from_secs(15);

/// Workers at work.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Dropped, it ends the work.
    stop: DropGuard,
    worker: JoinHandle<Result<(), holdfast_sdk::Error>>,
    /// Whether there are any.
    pub(crate) presence: Presence,
    /// What it knows.
    pub(crate) books: Arc<Books>,
    /// Where its records are.
    pub(crate) accounts: Accounts,
    /// Who does what now.
    pub(crate) floor: Arc<Floor>,
}

impl Pool {
    /// Lets the workers begin.
    ///
    /// # Errors
    /// The mesh has an address that is none.
    pub(crate) fn start(scenario: &Scenario, which: Which, place: &Place) -> Result<Self, Error> {
        let books = Arc::new(Books::new(scenario.agent.records * scenario.callers() as u64));
        let floor = Arc::new(Floor::new(scenario.pace().here(*scenario.agent.stalled_after)));
        let accounts = Accounts::of_a_new_run(&scenario.agent.namespace);
        let clerk = Clerk::new(scenario, which, place, accounts.clone(), Arc::clone(&books), Arc::clone(&floor));
        let clerk = Arc::new(clerk);
        let (endpoints, agent) = (endpoints(scenario, place)?, scenario.agent.name.clone());
        let (workers, tool_patience) = (scenario.pool.workers, scenario.pace().here(TOOL_PATIENCE));
        let hire = move || {
            let clerk = Arc::clone(&clerk);
            let worker = Worker::new(endpoints.clone()).name("rehearsal").concurrency(workers).drain(DRAIN);
            worker.tool_patience(tool_patience).agent(agent.as_str(), move |context: Context, input: Json| {
                let clerk = Arc::clone(&clerk);
                async move { clerk.work(context, input).await }
            })
        };
        let (stop, presence) = (CancellationToken::new(), Presence::of(&books));
        let worker = tokio::spawn(shifts::run(hire, presence.told(), stop.clone()));
        Ok(Self { stop: stop.drop_guard(), worker, presence, books, accounts, floor })
    }

    /// Returns where the workers end by themselves, and why: a mesh that will not have them needs no callers.
    pub(crate) async fn refused(&mut self) -> Error {
        why((&mut self.worker).await).unwrap_or_else(|| Error::Machine("the workers ended by themselves".into()))
    }

    /// Ends the work.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        drop(self.stop);
        why(self.worker.await).map_or(Ok(()), Err)
    }
}

/// The gateway; workers of several tenants are the mesh's own, as those of an agent pool are.
fn endpoints(scenario: &Scenario, place: &Place) -> Result<Endpoints, Error> {
    match &place.inside {
        Some(inside) if !scenario.tenants.is_empty() => {
            let common = Common { mesh: (**inside).clone(), ..Common::default() };
            Endpoints::mesh(&common).map_err(|error| Error::Mesh(error.to_string()))
        }
        _ => Ok(Endpoints::gateway(place.gateway.as_str()).api_key(&place.key)),
    }
}

fn why(ended: Result<Result<(), holdfast_sdk::Error>, JoinError>) -> Option<Error> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(refused)) => Some(Error::Mesh(format!("the mesh would not have the workers: {refused}"))),
        Err(panicked) => Some(Error::Machine(format!("the workers broke: {panicked}"))),
    }
}
