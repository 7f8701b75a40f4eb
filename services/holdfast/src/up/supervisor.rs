//! What `up` decides: when a service is started, restarted, drained or killed. A function of what happened and when, without
//! processes, so that every course of events can be tested.
//!
//! Invariants: a service has at most one process; what died is started again, later each time; nothing is started once the
//! end was asked for; the end comes in order, in bounded time.

use std::time::{Duration, Instant};

use holdfast_config::Peer;

use super::events::{Action, Event, Exit, Line, Outcome};

/// Before the first restart; doubles with each failure.
const RESTART_AFTER: Duration = Duration::from_millis(200);
/// The longest pause before a restart.
const RESTART_AFTER_MAX: Duration = Duration::from_secs(10);
/// A service that was ready for so long starts with a clean record.
const FORGIVEN_AFTER: Duration = Duration::from_secs(30);
/// How long the services of one stage may drain before they are killed.
pub(crate) const DRAIN_WITHIN: Duration = Duration::from_secs(12);

/// Who drains after whom: first the door, so that nothing new comes; then those who work, who still need those behind them.
const STAGES: [&[Peer]; 6] = [
    &[Peer::Gateway],
    &[Peer::Agent],
    &[Peer::ToolProxy, Peer::LlmProxy],
    &[Peer::Queue],
    &[Peer::State],
    &[Peer::Simulator],
];

#[derive(Debug)]
enum Phase {
    Paused {
        until: Instant,
    },
    Starting,
    Ready {
        since: Instant,
    },
    Draining,
    /// Killed, and not known to be gone yet: there is nothing more to do than to wait for that.
    Killed,
    Gone,
}

#[derive(Debug)]
struct Service {
    peer: Peer,
    phase: Phase,
    failures: u32,
}

#[derive(Debug)]
enum Mode {
    /// All shall run; whether all were ready once.
    Running {
        announced: bool,
    },
    /// A stage of the end, and since when; how it will end.
    Ending {
        stage: usize,
        since: Instant,
        outcome: Outcome,
    },
    Over,
}

/// The state of all services.
#[derive(Debug)]
pub(crate) struct Supervisor {
    services: Vec<Service>,
    mode: Mode,
}

impl Supervisor {
    /// All services, to be started at once: each waits by itself for those that it needs.
    pub(crate) fn start(peers: &[Peer]) -> (Self, Vec<Action>) {
        let services = peers.iter().map(|&peer| Service { peer, phase: Phase::Starting, failures: 0 }).collect();
        let actions = peers.iter().map(|&peer| Action::Start(peer)).collect();
        (Self { services, mode: Mode::Running { announced: false } }, actions)
    }

    /// Takes an event in and says what follows.
    pub(crate) fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Ready(peer) => self.ready(peer, now, &mut actions),
            Event::Exited(peer, exit) => self.exited(peer, exit, now, &mut actions),
            Event::Stop => self.stop(now, &mut actions),
            Event::Tick => self.tick(now, &mut actions),
        }
        self.advance(now, &mut actions);
        actions
    }

    fn ready(&mut self, peer: Peer, now: Instant, actions: &mut Vec<Action>) {
        let service = self.service(peer);
        if !matches!(service.phase, Phase::Starting) {
            return;
        }
        service.phase = Phase::Ready { since: now };
        actions.push(Action::Say(Line::Ready(peer)));
        let all = self.services.iter().all(|service| matches!(service.phase, Phase::Ready { .. }));
        if let Mode::Running { announced } = &mut self.mode
            && all
            && !*announced
        {
            *announced = true;
            actions.push(Action::Say(Line::AllReady));
        }
    }

    fn exited(&mut self, peer: Peer, exit: Exit, now: Instant, actions: &mut Vec<Action>) {
        let Mode::Running { announced } = self.mode else {
            self.service(peer).phase = Phase::Gone;
            return;
        };
        let service = self.service(peer);
        // Later, a running mesh is worth more than an edited file: the service is tried again until the file is mended.
        if exit.hopeless && !announced {
            service.phase = Phase::Gone;
            actions.push(Action::Say(Line::Hopeless { peer, how: exit.how }));
            self.end(Outcome::Failed, now, actions);
            return;
        }
        if let Phase::Ready { since } = service.phase
            && now.duration_since(since) >= FORGIVEN_AFTER
        {
            service.failures = 0;
        }
        let restart_in = RESTART_AFTER.saturating_mul(1 << service.failures.min(16)).min(RESTART_AFTER_MAX);
        service.failures = service.failures.saturating_add(1);
        service.phase = Phase::Paused { until: now + restart_in };
        actions.push(Action::Say(Line::Died { peer, how: exit.how, restart_in }));
    }

    fn stop(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match self.mode {
            Mode::Running { .. } => {
                actions.push(Action::Say(Line::Draining));
                self.end(Outcome::Stopped, now, actions);
            }
            Mode::Ending { .. } => {
                for service in self.services.iter_mut().filter(|service| service.is_alive()) {
                    actions.push(service.kill());
                }
            }
            Mode::Over => {}
        }
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match self.mode {
            Mode::Running { .. } => {
                for service in &mut self.services {
                    if matches!(service.phase, Phase::Paused { until } if now >= until) {
                        service.phase = Phase::Starting;
                        actions.push(Action::Start(service.peer));
                    }
                }
            }
            Mode::Ending { since, .. } if now.duration_since(since) >= DRAIN_WITHIN => {
                for service in self.services.iter_mut().filter(|service| service.is_draining()) {
                    actions.push(Action::Say(Line::Overdue(service.peer)));
                    actions.push(service.kill());
                }
            }
            Mode::Ending { .. } | Mode::Over => {}
        }
    }

    fn end(&mut self, outcome: Outcome, now: Instant, actions: &mut Vec<Action>) {
        for service in &mut self.services {
            if matches!(service.phase, Phase::Paused { .. }) {
                service.phase = Phase::Gone;
            }
        }
        self.mode = Mode::Ending { stage: 0, since: now, outcome };
        self.drain(0, actions);
    }

    fn drain(&mut self, stage: usize, actions: &mut Vec<Action>) {
        for service in &mut self.services {
            if STAGES[stage].contains(&service.peer) && service.is_alive() && !matches!(service.phase, Phase::Killed) {
                service.phase = Phase::Draining;
                actions.push(Action::Drain(service.peer));
            }
        }
    }

    /// Goes on to the next stage of the end as soon as one is over.
    fn advance(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Mode::Ending { stage, outcome, .. } = self.mode {
            let alive = |peer: &Peer| self.services.iter().any(|service| service.peer == *peer && service.is_alive());
            if STAGES[stage].iter().any(alive) {
                return;
            }
            if stage + 1 == STAGES.len() {
                self.mode = Mode::Over;
                actions.push(Action::End(outcome));
                return;
            }
            self.mode = Mode::Ending { stage: stage + 1, since: now, outcome };
            self.drain(stage + 1, actions);
        }
    }

    /// When something is due without an event.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match self.mode {
            Mode::Running { .. } => {
                let pauses = self.services.iter().filter_map(|service| match service.phase {
                    Phase::Paused { until } => Some(until),
                    _ => None,
                });
                pauses.min()
            }
            Mode::Ending { since, .. } => {
                let waited_for = self.services.iter().any(Service::is_draining);
                waited_for.then(|| since + DRAIN_WITHIN)
            }
            Mode::Over => None,
        }
    }

    fn service(&mut self, peer: Peer) -> &mut Service {
        self.services.iter_mut().find(|service| service.peer == peer).expect("events name services that were started")
    }
}

impl Service {
    fn is_alive(&self) -> bool {
        !matches!(self.phase, Phase::Gone | Phase::Paused { .. })
    }

    fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining)
    }

    fn kill(&mut self) -> Action {
        self.phase = Phase::Killed;
        Action::Kill(self.peer)
    }
}

#[cfg(test)]
mod tests;
