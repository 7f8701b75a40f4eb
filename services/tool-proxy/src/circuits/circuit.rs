//! One circuit: a breaker with a name, whose standing may be shared with other processes and outlast this one.
//!
//! Invariants:
//! - closed or open, it is asked without a word to anybody; only a probe that is due asks the others, for a bounded time;
//! - whoever cannot be asked leaves this process to decide alone;
//! - an operator's word counts until the next one, whatever is heard of the circuit besides.

use std::sync::Arc;
use std::time::Duration;

use holdfast_resilience::Permit;
use holdfast_resilience::breaker::{Breaker, Mode, Refused, Settings, Snapshot, Standing, State};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::pass::Pass;
use super::report::{Post, Report};
use super::seat::Seat;
use super::sharing::{Asked, Notice, Probe, Sharing};
use super::word::{self, Word};

/// A circuit. Cloning it shares it.
#[derive(Debug, Clone)]
pub(crate) struct Circuit {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) post: Arc<Post>,
    pub(super) breaker: Breaker,
    pub(super) probes: u32,
    pub(super) seat: Mutex<Seat>,
    sharing: Option<Arc<Sharing>>,
}

/// No leave: nothing may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// When to come back.
    pub(crate) retry_after: Duration,
}

impl From<Refused> for Held {
    fn from(refused: Refused) -> Self {
        Self { retry_after: refused.retry_after }
    }
}

impl Circuit {
    pub(super) fn new(post: Post, settings: Settings, sharing: Option<Arc<Sharing>>) -> Self {
        let post = Arc::new(post);
        let (told, probes) = (Arc::clone(&post), settings.probes);
        let breaker = Breaker::with_listener(settings, move |snapshot| told.tell(snapshot));
        Self { inner: Arc::new(Inner { post, breaker, probes, seat: Mutex::default(), sharing }) }
    }

    /// Whether a call would be held now, without asking for leave.
    pub(crate) fn refusal(&self) -> Option<Held> {
        let refused = self.inner.breaker.refusal();
        match refused {
            Some(refused) if refused.state == State::Open => Some(refused.into()),
            _ if self.inner.is_shared() => self.inner.wait_for_a_probe(),
            refused => refused.map(Held::from),
        }
    }

    /// Leave for one call. `patience` is how long it may take until its outcome is known.
    pub(crate) async fn acquire(&self, patience: Duration) -> Result<Pass, Held> {
        let inner = &self.inner;
        let Some(sharing) = inner.sharing.as_ref().filter(|_| inner.is_shared()) else { return self.alone() };
        match inner.breaker.acquire_closed() {
            Ok(permit) => return Ok(self.pass(permit, None)),
            Err(refused) if refused.state == State::Open && !refused.retry_after.is_zero() => {
                return Err(refused.into());
            }
            Err(_) => {}
        }
        match sharing.probe(inner, patience).await {
            // What this process has seen meanwhile, such as another probe's failure, is told before anything passes.
            Asked::Granted(_) if inner.untold().is_some() => Err(Held { retry_after: Duration::ZERO }),
            Asked::Granted(probe) => {
                let permit = inner.breaker.acquire_granted()?;
                // It probes: that is known to all already.
                inner.mark_told();
                Ok(self.pass(permit, Some(probe)))
            }
            Asked::Held(retry_after) => Err(Held { retry_after }),
            Asked::Alone => self.alone(),
        }
    }

    /// By what this process knows itself.
    fn alone(&self) -> Result<Pass, Held> {
        let permit = self.inner.breaker.acquire()?;
        Ok(self.pass(permit, None))
    }

    fn pass(&self, permit: Permit, probe: Option<Probe>) -> Pass {
        Pass::new(permit, probe, self.clone())
    }

    pub(super) fn report(&self) -> Report {
        self.inner.post.report(self.inner.breaker.snapshot())
    }
}

impl Inner {
    /// Whether the others can be asked, and this circuit is known among them.
    fn is_shared(&self) -> bool {
        let link = self.sharing.as_ref().map_or(0, |sharing| sharing.joined());
        link != 0 && self.seat.lock().link == link
    }

    fn wait_for_a_probe(&self) -> Option<Held> {
        let wait = self.seat.lock().wait(self.probes, Instant::now())?;
        (self.breaker.snapshot().state != State::Closed).then_some(Held { retry_after: wait })
    }

    /// Takes an operator's word, if it is a later one; says whether it was.
    pub(super) fn hear(&self, word: &Word) -> bool {
        {
            let mut held = self.post.word.lock();
            if word::stamp(held.as_ref()) >= word.stamp {
                return false;
            }
            *held = Some(word.clone());
        }
        if !self.breaker.set_mode(word.mode) {
            self.post.bells.ring();
        }
        true
    }

    /// Takes what the others say of this circuit. `asked_at` is the version that had been seen when they were asked.
    pub(super) fn take(&self, notice: Option<&Notice>, asked_at: u64) {
        let Some(notice) = notice else { return self.seat.lock().forget(asked_at) };
        let heard = notice.word.as_ref().is_some_and(|word| self.hear(word));
        let fresh = {
            let mut seat = self.seat.lock();
            seat.word_told = word::stamp(notice.word.as_ref());
            seat.see(notice.version, asked_at)
        };
        if !fresh {
            return;
        }
        let now = self.breaker.snapshot();
        let known = match (now.state, notice.state) {
            (State::Closed, State::Closed) => true,
            (State::Open, State::Open) => now.openings == notice.openings,
            // Its probes may be those of an earlier half-open, unless it has just begun.
            (State::HalfOpen, State::HalfOpen) => heard,
            _ => false,
        };
        if now.mode == Mode::Auto && !known {
            self.breaker.adopt(&Standing {
                state: notice.state,
                mode: Mode::Auto,
                openings: notice.openings,
                open_for: notice.left,
                reason: notice.reason,
                generation: now.generation + 1,
            });
        }
        self.mark_told();
    }

    /// The others took what this process told them: a standing of this generation. Where they have come further already,
    /// and this process with them, that counts.
    pub(super) fn taken(&self, notice: &Notice, asked_at: u64, generation: u64) {
        let mut seat = self.seat.lock();
        seat.word_told = word::stamp(notice.word.as_ref());
        if seat.see(notice.version, asked_at) {
            seat.told(generation);
        }
    }

    /// What the others say came of a call of ours: it is ours to keep.
    pub(super) fn mark_ours(&self) {
        let generation = self.breaker.snapshot().generation;
        self.seat.lock().ours = generation;
        self.post.bells.survival.notify_one();
    }

    fn mark_told(&self) {
        let generation = self.breaker.snapshot().generation;
        self.seat.lock().told(generation);
    }

    /// What the others do not know yet of how it stands. A calm circuit of which nothing is known is not worth a word.
    pub(super) fn untold(&self) -> Option<Snapshot> {
        let now = self.breaker.snapshot();
        let mut seat = self.seat.lock();
        if seat.is_told(now.generation) || now.mode != Mode::Auto {
            return None;
        }
        if seat.seen() == 0 && now.state == State::Closed {
            seat.told(now.generation);
            return None;
        }
        Some(now)
    }

    /// How it stood before this process began. What has happened since is worth more.
    pub(super) fn revive(&self, before: &Standing) {
        let now = self.breaker.snapshot();
        if now.generation == 0 && self.seat.lock().seen() == 0 {
            self.breaker.adopt(&Standing { generation: 1, ..*before });
        }
    }

    /// How it stands, where that is to outlast this process and does not yet. What another process came to is kept by that.
    pub(super) fn unkept(&self) -> Option<Snapshot> {
        let now = self.breaker.snapshot();
        let mut seat = self.seat.lock();
        if seat.kept? == now.generation {
            return None;
        }
        if now.mode != Mode::Auto || (now.adopted && seat.ours != now.generation) {
            seat.kept = Some(now.generation);
            return None;
        }
        Some(now)
    }

    /// An operator's word that the others have not heard.
    pub(super) fn untold_word(&self) -> Option<Word> {
        let word = self.post.word.lock().clone()?;
        (word.stamp > self.seat.lock().word_told).then_some(word)
    }
}
