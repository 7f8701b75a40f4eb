//! What callers do: they submit, alone or all at once, cancel and redrive, through any process.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use uuid::Uuid;

use super::TENANTS;
use super::fault::Fault;
use super::history::Happened;
use super::store::{Row, Store};
use super::world::{WORKERS, World};
use crate::domain::record::{Live, Standing};
use crate::domain::schedule::turn;

/// What a point of priority is worth.
const AGEING: Duration = Duration::from_secs(10);

impl World {
    pub(super) fn submit(&mut self, rush_of: Option<usize>) {
        let Some(process) = self.working() else { return };
        let key = self.rng.random_bool(0.3).then(|| {
            self.keys += u64::from(self.keys == 0 || self.rng.random_bool(0.6));
            self.keys
        });
        let tenant = rush_of.unwrap_or_else(|| self.rng.random_range(0..TENANTS.len()));
        let agent = if rush_of.is_some() || self.rng.random_bool(0.7) { "a" } else { "b" };
        let (name, of) = (agent.into(), TENANTS[tenant].0.into());
        let now = self.now;
        let depths = &mut self.processes[process].depths;
        if self.store.has(Fault::LimitIgnored) {
            depths.waits(&name, &of, 1, now.moment);
        } else if depths.admit(&name, &of, 1, 0.5, now.moment).is_err() {
            return self.store.says(Happened::Full);
        }
        if self.fails() {
            self.processes[process].depths.withdrawn(&name, &of, 1, now.moment);
            self.injected("store failures");
            if self.store.has(Fault::EarlyAcknowledgement) {
                let id = self.id();
                self.store.says(Happened::Acknowledged { id });
            }
            return;
        }
        let id = match self.store.by_key(key) {
            Some(id) => {
                self.processes[process].depths.withdrawn(&name, &of, 1, now.moment);
                self.injected("duplicate submissions");
                id
            }
            None => self.accept(process, agent, tenant, key, rush_of.is_some()),
        };
        if self.rng.random_bool(0.9) {
            self.store.says(Happened::Acknowledged { id });
        } else {
            self.injected("lost replies");
        }
    }

    fn accept(&mut self, process: usize, agent: &'static str, tenant: usize, key: Option<u64>, plain: bool) -> Uuid {
        let id = self.id();
        let now = self.processes[process].now(self.now);
        let session = (!plain && self.rng.random_bool(0.4)).then(|| self.rng.random_range(1..4));
        let soon =
            |rng: &mut SmallRng| (!plain && rng.random_bool(0.2)).then(|| now.wall + rng.random_range(0..20_000_000));
        let (deadline_wall, not_before) = (soon(&mut self.rng), soon(&mut self.rng));
        let row = Row {
            id,
            seq: self.ids as i64,
            agent,
            tenant,
            turn: turn(not_before.unwrap_or(now.wall), self.rng.random_range(-1..=1), AGEING),
            place: session.map(|session| self.store.place(session)),
            key,
            deadline_wall,
            standing: Standing::Live(Live::accepted(not_before)),
            tries: Vec::new(),
            past: Vec::new(),
            keeper: None,
            deadline: deadline_wall.map(|at| now.moment_of(at)),
            ready_at: not_before.map(|at| now.moment_of(at)),
        };
        self.processes[process].accepted(&row, &self.store, now);
        self.store.accept(row);
        id
    }

    /// Every tenant submits much at once, and there are workers for it.
    pub(super) fn rush(&mut self) {
        for tenant in (0..TENANTS.len()).flat_map(|tenant| [tenant; 14]) {
            self.submit(Some(tenant));
        }
        for worker in 0..WORKERS {
            self.credit(worker, 8);
        }
    }

    pub(super) fn cancel(&mut self) {
        let Some(id) = self.any_row(|_| true) else { return };
        let Some(process) = self.working() else { return };
        let leased = self.store.rows[&id].live().is_some_and(|live| live.lease().is_some());
        if leased && self.store.has(Fault::CancelledCompletes) {
            return self.store.says(Happened::Cancelled { id });
        }
        let now = self.processes[process].now(self.now);
        if let Ok(step) = self.store.change(id, now, |live| Ok(live.cancelled("", now.wall))) {
            self.processes[process].stepped(&self.store, id, &step, now);
            self.store.says(Happened::Cancelled { id });
            self.injected("cancels");
        }
    }

    pub(super) fn redrive(&mut self) {
        let Some(id) = self.any_row(|row| row.live().is_none()) else { return };
        let Some(process) = self.working() else { return };
        let (by, now) = (self.id(), self.processes[process].now(self.now));
        if self.store.redrive(id, by, now) {
            let row = self.store.rows[&id].clone();
            let process = &mut self.processes[process];
            process.depths.waits(&row.agent.into(), &Store::tenant_name(row.tenant).into(), 1, now.moment);
            process.accepted(&row, &self.store, now);
            self.injected("redrives");
        }
    }

    fn any_row(&mut self, which: impl Fn(&Row) -> bool) -> Option<Uuid> {
        let rows: Vec<Uuid> = self.store.rows.values().filter(|row| which(row)).map(|row| row.id).collect();
        (!rows.is_empty()).then(|| rows[self.rng.random_range(0..rows.len())])
    }
}
