//! Those who call.

use std::time::Duration;

use super::{
    Fault,
    plan::Scene,
    verdict::{Broken, foretold, turn},
    world::{Event, World},
};
use crate::domain::{Asked, Grant, Lane, Need, Refusal, Ticket, Want};

#[derive(Debug)]
pub(super) struct Call {
    pub(super) tenant: usize,
    pub(super) lane: u16,
    pub(super) priority: i32,
    pub(super) need: Need,
    /// What it will use.
    pub(super) real: Need,
    pub(super) patience: Option<Duration>,
    pub(super) asked: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    pub(super) started: Option<Duration>,
    pub(super) ticket: Option<Ticket>,
    pub(super) state: State,
    pub(super) broke: bool,
    pub(super) probe: Probe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Coming,
    Waiting,
    Away,
    Over,
}

/// Who looks whether a start is foretold rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    No,
    /// It is told, and then waits for it.
    Told(Option<Duration>),
    /// It comes back when it was told to, so often at most.
    ComesBack(u32),
}

impl Call {
    pub(super) fn new() -> Self {
        Self {
            tenant: 0,
            lane: 0,
            priority: 0,
            need: Need::default(),
            real: Need::default(),
            patience: None,
            asked: None,
            deadline: None,
            started: None,
            ticket: None,
            state: State::Coming,
            broke: false,
            probe: Probe::No,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    pub(super) fn is_coming(&self) -> bool {
        self.state == State::Coming
    }

    pub(super) fn give_up(&mut self) {
        self.state = State::Over;
    }
}

impl World {
    pub(super) fn comes(&mut self, number: usize) -> Result<(), Broken> {
        let now = self.now;
        let call = &mut self.calls[number];
        if call.is_over() {
            return Ok(());
        }
        if call.asked.is_none() || matches!(call.probe, Probe::ComesBack(_)) && call.ticket.is_none() {
            (call.asked, call.deadline) = (Some(now), call.patience.map(|patience| now + patience));
        }
        if call.probe == Probe::Told(None) {
            call.deadline = Some(now);
        }
        let weight = if self.fault == Some(Fault::WeightIgnored) { 1 } else { self.plan.tenants[call.tenant] };
        let want = Want {
            lane: Lane(call.lane),
            tenant: call.tenant.to_string().into(),
            weight,
            priority: call.priority,
            need: call.need,
            counted: None,
            bytes: 1,
            deadline: call.deadline.filter(|_| self.fault != Some(Fault::RefusedTooLate)),
            start_by: None,
        };
        let (deadline, ticket) = (call.deadline, call.ticket);
        match self.pool.ask(now, want, ticket) {
            Asked::Granted(grant) => self.starts(number, grant)?,
            Asked::Refused(refusal) => self.turned_away(number, refusal)?,
            Asked::Waiting(ticket) => {
                (self.calls[number].state, self.calls[number].ticket) = (State::Waiting, Some(ticket));
                self.waiting.insert(ticket, number);
                if let Some(deadline) = deadline {
                    self.at(deadline.saturating_sub(now), Event::Deadline(number));
                }
            }
        }
        Ok(())
    }

    fn turned_away(&mut self, number: usize, refusal: Refusal) -> Result<(), Broken> {
        match &mut self.calls[number].probe {
            Probe::Told(told @ None) => {
                *told = Some(self.now + refusal.starts_in);
                self.calls[number].deadline = None;
                self.comes(number)
            }
            Probe::ComesBack(0) => Err("who came back when told to was sent away again".into()),
            Probe::ComesBack(times) => {
                *times -= 1;
                self.at(refusal.retry_after, Event::Comes(number));
                Ok(())
            }
            _ => {
                self.refused(number);
                Ok(())
            }
        }
    }

    pub(super) fn refused(&mut self, number: usize) {
        self.figures.refused += 1;
        self.calls[number].give_up();
    }

    pub(super) fn starts(&mut self, number: usize, grant: Grant) -> Result<(), Broken> {
        let now = self.now;
        let call = &mut self.calls[number];
        (call.state, call.ticket) = (State::Away, Some(grant.ticket));
        let Call { tenant, lane, priority, probe, .. } = *call;
        let asked = call.asked.unwrap_or(now);
        if call.deadline.is_some_and(|deadline| deadline < now) {
            return Err("a call started past its deadline".into());
        }
        let passed = |other: &usize| {
            let other = &self.calls[*other];
            let before = turn(other.asked.unwrap_or(now), other.priority) + 201 < turn(asked, priority);
            (other.tenant, other.lane) == (tenant, lane) && before
        };
        if let Some(other) = self.waiting.values().find(|other| **other != number && passed(other)) {
            return Err(format!("one was passed for too long by another of its tenant: {:?}", self.calls[*other]));
        }
        let real = self.calls[number].real.total();
        self.figures.starts.push((now, tenant, real));
        self.calls[number].started.get_or_insert(now);
        self.figures.probed += usize::from(probe != Probe::No);
        if self.plan.scene == Scene::Backlog && now < self.ends {
            let next = self.call_of_a_backlog(tenant);
            self.at(Duration::ZERO, Event::Comes(next));
        }
        self.goes(number, grant)
    }

    /// A call is answered.
    pub(super) fn done(&mut self, number: usize) {
        self.figures.done += 1;
        self.calls[number].give_up();
    }

    /// A call has lost its key or its answer: it comes again, with its place.
    pub(super) fn again(&mut self, number: usize) -> Result<(), Broken> {
        self.calls[number].state = State::Coming;
        self.comes(number)
    }

    pub(super) fn leaves(&mut self, number: usize) {
        match self.calls[number].state {
            State::Waiting => {
                self.injected("waiter left");
                self.stands_no_more(number);
            }
            State::Away => {
                self.injected("caller aborted");
                self.abort(number);
            }
            State::Coming | State::Over => {}
        }
    }

    pub(super) fn deadline(&mut self, number: usize) {
        if self.calls[number].state == State::Waiting {
            self.figures.in_vain += 1;
            self.stands_no_more(number);
        }
    }

    fn stands_no_more(&mut self, number: usize) {
        self.calls[number].give_up();
        if let Some(ticket) = self.calls[number].ticket {
            self.waiting.remove(&ticket);
            if self.fault != Some(Fault::GhostInLine) {
                self.pool.give_up(&ticket);
            }
        }
    }

    /// Whether the probe was told the truth.
    pub(super) fn check_probe(&self) -> Result<(), Broken> {
        let told = self.calls.iter().find_map(|call| match call.probe {
            Probe::Told(Some(told)) => Some((call, told)),
            _ => None,
        });
        let Some((call, told)) = told else { return Ok(()) };
        let asked = call.asked.unwrap_or_default();
        let real = call.started.unwrap_or_default();
        foretold(&self.figures.starts, asked, real, told, self.plan.window).map_or(Ok(()), Err)
    }
}
