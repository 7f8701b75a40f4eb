//! What a committed batch changes in memory, and who is told.

mod accepted;
mod adopted;
mod claimed;
mod redriven;
mod settled;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_rpc::Error;
use holdfast_storage::Failure;

use super::core::{Commands, Core};
use super::sight::Fresh;
use super::tag::{Tag, TellTag, TellTo};
use super::{Shared, refusal};
use crate::domain::time::Now;
use crate::metrics;
use crate::store::{Acceptance, Answer};

pub(super) use accepted::key_reused;
pub(super) use settled::revoke;

/// How long nothing is promised after the store has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How long until what the store could not do is tried again: a breaker that is open knows.
fn again(failure: &Failure) -> Duration {
    failure.retry_after().unwrap_or(PAUSE)
}

impl Shared {
    /// Takes in what became durable, answers who waits, and promises what is ready now.
    pub(crate) fn take_in(self: &Arc<Self>, answers: Vec<(Tag, Result<Answer, Failure>)>) {
        metrics::accepted(answers.iter().filter(|(_, answer)| is_new(answer)).count());
        let answered = answers.len();
        let now = self.clock.now();
        let mut core = self.core.lock();
        let mut commands = Commands::new();
        if answers.iter().any(|(_, answer)| answer.is_ok()) {
            core.paused_until = None;
        }
        for (tag, answer) in answers {
            self.apply(&mut core, tag, answer, now, &mut commands);
        }
        let made_ready = core.take_in_fresh(now);
        core.dispatch(now, &mut commands);
        // What nobody here takes, somebody elsewhere may wait for.
        let news = made_ready.iter().any(|agent| core.has_ready(agent));
        self.submit(&mut core, commands, now);
        // After what follows from them was asked: nothing is under way when this is nothing.
        self.asked.fetch_sub(answered, Ordering::Relaxed);
        drop(core);
        if news {
            self.together.news();
        }
        self.landed.notify_waiters();
    }

    /// Hands commands to the store; when it takes none, that is their answer.
    pub(crate) fn submit(self: &Arc<Self>, core: &mut Core, commands: Commands, now: Now) {
        self.asked.fetch_add(commands.len(), Ordering::Relaxed);
        if !commands.is_empty()
            && let Err((commands, failure)) = self.store.submit(commands)
        {
            self.asked.fetch_sub(commands.len(), Ordering::Relaxed);
            for (tag, _) in commands {
                // A failed command brings no further ones, but those that give back what nobody can take.
                self.apply(core, tag, Err(failure.clone()), now, &mut Commands::new());
            }
        }
        self.arm(core.next_due());
        if let Some(window) = &core.window {
            self.together.look_after(window, core.soonest);
        }
    }

    fn apply(
        self: &Arc<Self>,
        core: &mut Core,
        tag: Tag,
        answer: Result<Answer, Failure>,
        now: Now,
        commands: &mut Commands,
    ) {
        match (tag, answer) {
            (Tag::Accept(tag), Ok(Answer::Accepted(acceptance))) => self.accepted(core, *tag, Ok(acceptance), now),
            (Tag::Accept(tag), Err(failure)) => self.accepted(core, *tag, Err(failure), now),
            (Tag::Claim(tag), Ok(Answer::Claimed(Some(claimed)))) => {
                self.claimed(core, *tag, *claimed, now, commands);
            }
            (Tag::Claim(tag), Ok(Answer::Claimed(None))) => self.not_claimed(core, *tag, None, now, commands),
            (Tag::Claim(tag), Err(failure)) => self.not_claimed(core, *tag, Some(&failure), now, commands),
            (Tag::Settle(tag), Ok(Answer::Settled(settlement))) => self.settled(core, tag, Ok(*settlement), now),
            (Tag::Settle(tag), Err(failure)) => self.settled(core, tag, Err(failure), now),
            (Tag::Adopt(tag), Ok(Answer::Adopted(adopted))) => self.adopted(core, tag, Ok(adopted), now),
            (Tag::Adopt(tag), Err(failure)) => self.adopted(core, tag, Err(failure), now),
            (Tag::Promote(reply), Ok(Answer::Promoted(candidates))) => {
                core.fresh.extend(candidates.into_iter().map(|candidate| Fresh { candidate, input: None }));
                let _ = reply.send(Ok(()));
            }
            (Tag::Promote(reply), Err(failure)) => {
                core.doubts(&failure);
                let _ = reply.send(Err(refusal::store(&failure)));
            }
            (Tag::Tell(tag), Ok(Answer::Told(told))) => {
                core.ring(tag.id);
                let id = tag.id;
                answer_tell(tag, told.map_err(|gone| refusal::gone(gone, id)));
            }
            (Tag::Tell(tag), Err(failure)) => answer_tell(tag, Err(refusal::store(&failure))),
            (Tag::ForgetRaises(reply), answer) => {
                let _ = reply.send(answer.map(|_| ()).map_err(|failure| refusal::store(&failure)));
            }
            (Tag::Redrive(tag), Ok(Answer::Redriven(redriven))) => self.redriven(core, tag, Ok(*redriven), now),
            (Tag::Redrive(tag), Err(failure)) => self.redriven(core, tag, Err(failure), now),
            (Tag::Discard(reply), Ok(Answer::Discarded(count))) => {
                // The retention goes on with what it finds, whether it has heard or not.
                let _ = reply.send(Ok(count));
            }
            (Tag::Discard(reply), Err(failure)) => {
                let _ = reply.send(Err(refusal::store(&failure)));
            }
            (tag, Ok(answer)) => unreachable!("the store answered {tag:?} with {answer:?}"),
        }
    }
}

/// Whether there is an invocation now that was not there before. A repeat under a key makes none.
fn is_new(answer: &Result<Answer, Failure>) -> bool {
    matches!(answer, Ok(Answer::Accepted(Acceptance::Created { .. })))
}

fn answer_tell(tag: TellTag, outcome: Result<u64, Error>) {
    match tag.to {
        TellTo::Caller(reply) => {
            // The event is in the stream, whether the caller is still there or not.
            let _ = reply.send(outcome);
        }
        TellTo::Worker { outbox, token } => {
            outbox.answer(token, outcome.map(|_| ()));
        }
    }
}
