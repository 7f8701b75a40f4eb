//! What a committed batch changes in memory, and who is told.

mod accepted;
mod claimed;
mod settled;

use std::sync::Arc;
use std::time::Duration;

use holdfast_rpc::Error;
use holdfast_storage::Failure;

use super::core::{Commands, Core};
use super::tag::{Tag, TellTag, TellTo};
use super::{Shared, refusal};
use crate::domain::time::Now;
use crate::metrics;
use crate::store::{Acceptance, Answer, Batch};

pub(super) use accepted::key_reused;

/// How long nothing is promised after the store has failed.
const PAUSE: Duration = Duration::from_secs(1);

impl Shared {
    /// Takes in what became durable, answers who waits, and promises what is ready now.
    pub(crate) fn committed(self: &Arc<Self>, batch: Batch<Tag>) {
        metrics::committed(batch.answers.len(), batch.took);
        metrics::accepted(batch.answers.iter().filter(|(_, answer)| is_new(answer)).count());
        let now = self.clock.now();
        let mut core = self.core.lock();
        let mut commands = Commands::new();
        for (tag, answer) in batch.answers {
            self.apply(&mut core, tag, answer, now, &mut commands);
        }
        core.dispatch(now, &mut commands);
        self.submit(&mut core, commands, now);
        drop(core);
        self.landed.notify_waiters();
    }

    /// Hands commands to the store; when it takes none, that is their answer.
    pub(crate) fn submit(self: &Arc<Self>, core: &mut Core, commands: Commands, now: Now) {
        if !commands.is_empty()
            && let Err((commands, failure)) = self.store.submit(commands)
        {
            for (tag, _) in commands {
                // A failed command brings no further ones, but those that give back what nobody can take.
                self.apply(core, tag, Err(failure.clone()), now, &mut Commands::new());
            }
        }
        self.arm(core.next_due());
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
            (Tag::Adopt(tag), answer) => {
                let adopted = matches!(answer, Ok(Answer::Adopted(Some(_))));
                if adopted {
                    core.leases.adopt(tag.lease, tag.to, now.moment.after(*self.config.lease_ttl));
                }
                let _ = tag.reply.send(adopted);
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
