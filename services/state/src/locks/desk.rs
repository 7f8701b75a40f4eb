//! A desk: it speaks for all callers of its process that want one lock, looks at the lock for all of them at once, and ends
//! with the last of them.

mod callers;

use std::{collections::HashMap, time::Duration};

use holdfast_rpc::time::now_micros;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use self::callers::Callers;
use super::{
    desks::{Counter, Desks},
    plan::{Judged, Plan, Side, Step},
    records::Places,
    view::View,
};
use crate::{
    domain::Seq,
    failed::Failed,
    write::{Command, Durability},
};

/// How long a change that no news tells of stays unnoticed at most.
const POLL: Duration = Duration::from_millis(250);
/// Between two looks that only news asks for: neighbours in the shard may write without pause.
const PACE: Duration = Duration::from_millis(10);
/// Between two tries while the stores are in trouble.
const RETRY: Duration = Duration::from_millis(250);
/// After so many refusals in a row, others are let through.
const REFUSALS_MAX: u32 = 3;
/// For so much longer than its own wait, a waiter stands in line before it counts as gone.
const OVERDUE: Duration = Duration::from_secs(2);

/// One desk at work.
pub(super) struct Desk<'d> {
    desks: &'d Desks,
    counter: &'d Counter,
    places: Places,
    news: watch::Receiver<Seq>,
    callers: Callers,
    /// Whether nothing in the records speaks for callers that have left.
    tidy: bool,
    /// Since when each of the others has been seen in line.
    in_line: HashMap<Uuid, Instant>,
    refusals: u32,
}

/// What to do after a step.
enum Next {
    Look,
    Rest { until: Instant },
}

impl<'d> Desk<'d> {
    pub(super) fn new(desks: &'d Desks, counter: &'d Counter, places: Places) -> Self {
        let news = desks.decider.news(places.lock.shard());
        Self {
            desks,
            counter,
            places,
            news,
            callers: Callers::default(),
            tidy: true,
            in_line: HashMap::new(),
            refusals: 0,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let arrived = self.counter.take();
            let departed = self.callers.turn(arrived);
            self.tidy &= !departed;
            if self.tidy && self.callers.is_empty() {
                if self.desks.leave(&self.places.lock, self.counter) {
                    return;
                }
                continue;
            }
            match self.step().await {
                Ok(Next::Look) => {}
                Ok(Next::Rest { until }) => self.rest(until).await,
                Err(failed @ Failed::Closed { .. }) => {
                    self.callers.fail_all(&failed);
                    self.tidy = true;
                }
                Err(failed) => {
                    self.callers.fail_new(&failed);
                    self.rest(Instant::now() + RETRY).await;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Next, Failed> {
        // What comes from here on is news: it may be missing from the view.
        self.news.mark_unchanged();
        let view = View::read(&*self.desks.decider, self.places.clone()).await?;
        let now = Instant::now();
        let since = self.desks.seen.since(&self.places.lock, view.stamp(), now);
        let lapses = since + view.patience();
        let judged = Judged { lapsed: now >= lapses, overdue: self.overdue(&view, now), now: now_micros() };
        let side = Side { desk: self.desks.id, callers: self.callers.claimants(), left: self.callers.left() };
        match side.plan(&view, &judged) {
            Plan::Has(request, lock) => self.callers.tell(request, lock),
            Plan::Write(step) => self.write(step).await?,
            Plan::Wait { turned_away } => {
                self.callers.turn_away(&turned_away, lapses.saturating_duration_since(now));
                self.callers.looked();
                self.tidy = true;
                let until = self.callers.next_deadline().unwrap_or(now + POLL).min(lapses).min(now + POLL);
                return Ok(Next::Rest { until });
            }
        }
        Ok(Next::Look)
    }

    async fn write(&mut self, step: Step) -> Result<(), Failed> {
        let lease = step.gives_to.and_then(|request| self.callers.give(request));
        let command = Command {
            writes: step.writes,
            guard: step.guard,
            write_id: None,
            invocation_id: "".into(),
            durability: Durability::Durable,
            now: now_micros(),
        };
        match (self.desks.decider.write(&command, lease.as_ref()).await, step.gives_to) {
            (Ok(_), _) => self.refusals = 0,
            (Err(Failed::Refused(_)), _) => self.let_others_through().await,
            (Err(failed @ Failed::Fenced(_)), Some(request)) => self.callers.fail(request, &failed),
            (Err(failed), _) => return Err(failed),
        }
        Ok(())
    }

    /// Somebody else was quicker, so that the lock's story goes on; but those here are not to keep everybody else from it.
    async fn let_others_through(&mut self) {
        self.refusals += 1;
        if self.refusals > REFUSALS_MAX {
            sleep(PACE.mul_f64(rand::random())).await;
        }
    }

    /// Others' callers that have stood in line for longer than they wait: their desk has not taken them out.
    fn overdue(&mut self, view: &View, now: Instant) -> std::collections::HashSet<Uuid> {
        let others = view.waiting.0.iter().filter(|waits| waits.desk != self.desks.id);
        let mut seen = HashMap::new();
        let mut overdue = std::collections::HashSet::new();
        for waits in others {
            let since = self.in_line.get(&waits.request).copied().unwrap_or(now);
            seen.insert(waits.request, since);
            if now.saturating_duration_since(since) > waits.wait() + OVERDUE {
                overdue.insert(waits.request);
            }
        }
        self.in_line = seen;
        overdue
    }

    async fn rest(&mut self, until: Instant) {
        let news = async {
            sleep(PACE).await;
            // Where there is no news any more, the next look says why.
            if self.news.changed().await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = self.counter.nudge.notified() => {}
            () = news => {}
            () = sleep_until(until) => {}
        }
    }
}
