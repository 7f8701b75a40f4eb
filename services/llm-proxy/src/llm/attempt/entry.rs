//! A call's place with a key of a deployment, and the leave of its circuit.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use tokio::{sync::futures::Notified, time::Instant};
use tracing::Instrument as _;

use super::{Attempt, Visit};
use crate::{
    accounts::Charge,
    domain::{Ticket, Want},
    gate::Place,
    llm::{
        flight::{Flight, REST_MIN},
        spans,
        trouble::Passed,
    },
    model::Deployment,
};

impl Attempt<'_> {
    /// A place with a key, waited for where need be; else why the deployment is passed by.
    pub(super) async fn enter(&mut self, visit: &Visit<'_>) -> Result<Flight, Passed> {
        let deployment = visit.deployment;
        let house = &deployment.house;
        // Heard from here on: no change between the look and the wait is missed.
        let mut shut = pin!(deployment.shut.notified());
        look(deployment)?;
        if let Some(holds) = deployment.context_tokens.filter(|holds| visit.estimate.input_at_least() > *holds) {
            return Err(Passed::too_small(&deployment.name, holds));
        }
        let want = Want {
            lane: deployment.lane,
            tenant: Arc::clone(&self.tenant),
            weight: self.llm.tenants.weight(&self.tenant),
            priority: self.ask.priority,
            need: visit.estimate.need,
            counted: None,
            bytes: self.ask.bytes,
            deadline: Some(house.gate.at(self.deadline)),
            start_by: visit.start_by.map(|at| house.gate.at(at)),
        };
        let mut ticket = visit.ticket;
        let (mut place, key) = loop {
            let place = self.wait(deployment, want.clone(), ticket, shut.as_mut()).await?;
            match house.key(place.key()) {
                Some(key) => break (place, key),
                // It was removed on the way here.
                None => ticket = Some(place.ticket()),
            }
        };
        // It may have fallen ill meanwhile.
        look(deployment)?;
        let permit = deployment.breaker.acquire().map_err(|no| Passed::open(&deployment.name, no.retry_after))?;
        place.dispatch(visit.estimate.need);
        self.charge.iter_mut().for_each(Charge::sent);
        self.timing.attempts += 1;
        Ok(Flight::new(place, key, permit, visit.estimate, self.timing, Arc::clone(deployment)))
    }

    async fn wait(
        &mut self,
        deployment: &Deployment,
        want: Want,
        ticket: Option<Ticket>,
        shut: Pin<&mut Notified<'_>>,
    ) -> Result<Place, Passed> {
        let house = &deployment.house;
        let mut entering = pin!(house.gate.enter(want, ticket));
        // Most calls find a place at once: they have no wait to tell of.
        if let Poll::Ready(entered) = futures::poll!(entering.as_mut()) {
            return entered.map_err(|refusal| Passed::refused(&house.name, refusal));
        }
        let since = Instant::now();
        let waiting = async {
            tokio::select! {
                biased;
                entered = entering => entered.map_err(|refusal| Passed::refused(&house.name, refusal)),
                () = shut => {
                    Err(Passed::open(&deployment.name, deployment.shut_for().unwrap_or_default().max(REST_MIN)))
                }
            }
        };
        let waited = waiting.instrument(spans::wait(deployment)).await;
        self.timing.waited += since.elapsed();
        waited
    }
}

/// Whoever stands in line for a deployment that is down has waited for nothing.
fn look(deployment: &Deployment) -> Result<(), Passed> {
    match deployment.shut_for() {
        Some(time) => Err(Passed::open(&deployment.name, time)),
        None => Ok(()),
    }
}
