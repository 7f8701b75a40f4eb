//! Keeps this process and the others of one mind about every circuit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{ErrorKind, RedisError};
use futures::FutureExt as _;
use holdfast_redis::{Line, News};
use holdfast_resilience::breaker::{Breaker, Reason, Settings, Snapshot, State};
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::notice;
use super::scripts::{self, Request};
use super::{Outcome, Sharing};
use crate::circuits::Known;
use crate::circuits::circuit::Inner;
use crate::circuits::word::Word;
use crate::metrics;

/// The name of the circuit before Redis itself.
const CIRCUIT: &str = "tool-proxy-redis";
/// So often every circuit is looked at, whatever was told.
const LOOK: Duration = Duration::from_secs(2);
/// Circuits in one look.
const AT_ONCE: usize = 100;

type Done = Result<(), RedisError>;

/// Goes on until it is dropped. `changed` rings when a circuit of this process has changed, or there is a new one.
pub(in crate::circuits) async fn run(sharing: Arc<Sharing>, known: Arc<Known>, changed: Arc<Notify>) {
    let Some(mut outcomes) = sharing.inbox.lock().take() else { return };
    let breaker = Breaker::with_listener(settings(), |now| metrics::circuit_changed(CIRCUIT, now.state));
    metrics::circuit_stands(CIRCUIT, State::Closed);
    let mut number = 0;
    loop {
        let permit = match breaker.acquire() {
            Ok(permit) => permit,
            Err(refused) => {
                sleep(refused.retry_after).await;
                continue;
            }
        };
        number += 1;
        let mut duty = Duty { sharing: &sharing, known: &known, number };
        match duty.join().await {
            Ok(mut line) => {
                permit.success();
                info!("circuits are shared with other processes through Redis");
                let why = duty.stay(&mut line, &changed, &mut outcomes).await;
                warn!(%why, "Redis is away: this process goes on with its circuits alone");
            }
            Err(why) => {
                if number == 1 {
                    warn!(%why, "Redis is away: this process begins with its circuits alone");
                }
                permit.failure();
            }
        }
        sharing.leave();
    }
}

/// Each try costs one connection, and so much of a probe's accuracy is lost until one succeeds.
fn settings() -> Settings {
    Settings {
        consecutive_failures: Some(1),
        open: Duration::from_millis(250),
        open_max: Duration::from_secs(2),
        probes: 1,
        ..Settings::default()
    }
}

struct Duty<'a> {
    sharing: &'a Sharing,
    known: &'a Known,
    number: u64,
}

impl Duty<'_> {
    /// Connects, and learns how everything stands before anybody is told that the others can be asked.
    async fn join(&mut self) -> Result<Line, RedisError> {
        let keys = &self.sharing.keys;
        let mut line = self.sharing.way.connect(&keys.hash(""), &keys.channel()).await?;
        self.look(&mut line.link, &self.known.all()).await?;
        self.sharing.enter(line.link.clone(), self.number);
        Ok(line)
    }

    /// Until the connection ends; returns why.
    async fn stay(&mut self, line: &mut Line, changed: &Notify, outcomes: &mut mpsc::Receiver<Outcome>) -> RedisError {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What has changed while nobody could be told.
        let mut done = self.tell_all(&mut line.link).await;
        loop {
            if let Err(why) = done {
                return why;
            }
            let link = &mut line.link;
            done = tokio::select! {
                biased;
                () = self.sharing.broken.notified() => Err(error("a question was not answered in time")),
                // Before outcomes: a probe that failed ends its half-open before another's place becomes free.
                () = changed.notified() => self.tell_all(link).await,
                Some(outcome) = outcomes.recv() => self.settle(link, &outcome).await,
                news = line.news.recv() => match news {
                    Some(News::Said(name)) => self.hear(link, &name).await,
                    Some(News::Gone) | None => Err(error("the connection has ended")),
                },
                _ = looks.tick() => self.look_and_tell(link).await,
            };
        }
    }

    async fn hear(&mut self, link: &mut MultiplexedConnection, name: &str) -> Done {
        match self.known.find(name) {
            Some(circuit) => self.look(link, &[circuit]).await,
            None => Ok(()),
        }
    }

    async fn look_and_tell(&mut self, link: &mut MultiplexedConnection) -> Done {
        self.look(link, &self.known.all()).await?;
        self.tell_all(link).await
    }

    async fn look(&mut self, link: &mut MultiplexedConnection, circuits: &[Arc<Inner>]) -> Done {
        for circuits in circuits.chunks(AT_ONCE) {
            let asked_at: Vec<_> = circuits.iter().map(|circuit| circuit.seat.lock().seen()).collect();
            let request = self.sharing.keys.look(circuits.iter().map(|circuit| &*circuit.post.name));
            let notices = notice::of_look(&request.send(link).await?).ok_or_else(strange)?;
            for ((circuit, notice), asked_at) in circuits.iter().zip(&notices).zip(asked_at) {
                circuit.take(notice.as_ref(), asked_at);
                circuit.seat.lock().link = self.number;
            }
        }
        Ok(())
    }

    /// What the others do not know yet; and what is new here is looked at first.
    async fn tell_all(&mut self, link: &mut MultiplexedConnection) -> Done {
        let circuits = self.known.all();
        let new: Vec<_> = circuits.iter().filter(|circuit| circuit.seat.lock().link != self.number).cloned().collect();
        self.look(link, &new).await?;
        for circuit in circuits {
            if let Some(word) = circuit.untold_word() {
                self.pass_on(link, &circuit, &word).await?;
            }
            if let Some(now) = circuit.untold() {
                self.tell(link, &circuit, now).await?;
            }
        }
        Ok(())
    }

    async fn tell(&mut self, link: &mut MultiplexedConnection, circuit: &Inner, now: Snapshot) -> Done {
        let asked_at = circuit.seat.lock().seen();
        let request = self.sharing.keys.of(&scripts::TELL, &circuit.post.name).number(asked_at);
        self.change(link, circuit, standing(request, &now), asked_at, now.generation).await
    }

    async fn pass_on(&mut self, link: &mut MultiplexedConnection, circuit: &Inner, word: &Word) -> Done {
        let asked_at = circuit.seat.lock().seen();
        let now = circuit.breaker.snapshot();
        let request = self.sharing.keys.of(&scripts::WORD, &circuit.post.name);
        let request = request.arg(&word.stamp.to_string()).arg(notice::mode(word.mode)).json(word);
        let request = standing(request.json(&Reason::Forced(word.mode)), &now);
        self.change(link, circuit, request, asked_at, now.generation).await
    }

    async fn settle(&mut self, link: &mut MultiplexedConnection, outcome: &Outcome) -> Done {
        let circuit = &outcome.circuit;
        let asked_at = circuit.seat.lock().seen();
        let request = self.sharing.keys.of(&scripts::SETTLE, &circuit.post.name);
        let request = request.arg(&outcome.id).number(outcome.round).arg(if outcome.succeeded { "1" } else { "0" });
        let request = request.number(circuit.probes).json(&Reason::ProbesSucceeded);
        let (closed, notice) = notice::of_change(&request.send(link).await?).ok_or_else(strange)?;
        circuit.take(notice.as_ref(), asked_at);
        if closed {
            circuit.mark_ours();
        }
        Ok(())
    }

    async fn change(
        &mut self,
        link: &mut MultiplexedConnection,
        circuit: &Inner,
        request: Request,
        asked_at: u64,
        generation: u64,
    ) -> Done {
        let (taken, notice) = notice::of_change(&request.send(link).await?).ok_or_else(strange)?;
        match notice {
            Some(notice) if taken => circuit.taken(&notice, asked_at, generation),
            notice => circuit.take(notice.as_ref(), asked_at),
        }
        Ok(())
    }
}

impl Sharing {
    /// From now on the others can be asked.
    fn enter(&self, link: MultiplexedConnection, number: u64) {
        // What was said of an earlier connection.
        let _ = self.broken.notified().now_or_never();
        *self.link.lock() = Some(link);
        self.number.store(number, Ordering::Release);
        metrics::circuits_shared(true);
        self.settled.notify_one();
    }

    /// Nobody can be asked.
    fn leave(&self) {
        self.number.store(0, Ordering::Release);
        *self.link.lock() = None;
        metrics::circuits_shared(false);
        self.settled.notify_one();
    }
}

/// State, what is left of the open time, openings, why. One that probes alone begins its probes anew with the others.
fn standing(request: Request, now: &Snapshot) -> Request {
    let state = if now.state == State::HalfOpen { State::Open } else { now.state };
    request.arg(notice::name(state)).micros(now.standing().open_for).number(now.openings).json(&now.reason)
}

fn strange() -> RedisError {
    error("it answered something that is not ours")
}

fn error(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, why))
}
