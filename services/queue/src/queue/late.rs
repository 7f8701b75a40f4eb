//! Answers to those for whom the store takes too long. Only who waits is answered; the rest of a tag is what memory needs
//! once the store has spoken.

use holdfast_storage::Failure;
use tokio::sync::oneshot;

use super::calls::CallWhat;
use super::refusal;
use super::tag::{AcceptTo, Reply, SettleTo, Tag, TellTo};
use crate::store::guarded::GiveUp;

impl GiveUp for Tag {
    fn give_up(&mut self, failure: &Failure) {
        match self {
            Self::Accept(tag) => give_up_accept(&mut tag.to, failure),
            Self::Settle(tag) => give_up_settle(&mut tag.to, failure),
            Self::Tell(tag) => give_up_tell(&mut tag.to, failure),
            Self::ForgetRaises(reply) | Self::Promote(reply) => refuse(reply, failure),
            Self::Redrive(tag) => refuse(&mut tag.reply, failure),
            Self::Discard(reply) => refuse(reply, failure),
            Self::Adopt(tag) => {
                let _ = std::mem::replace(&mut tag.reply, oneshot::channel().0).send(None);
            }
            // Workers wait for work for as long as they want.
            Self::Claim(_) => {}
        }
    }
}

fn give_up_accept(to: &mut AcceptTo, failure: &Failure) {
    match std::mem::replace(to, AcceptTo::Caller(nobody())) {
        AcceptTo::Caller(mut reply) => refuse(&mut reply, failure),
        AcceptTo::Call { stream, call_id, .. } => stream.answer(call_id, CallWhat::Refused(refusal::store(failure))),
    }
}

fn give_up_settle(to: &mut SettleTo, failure: &Failure) {
    match to {
        SettleTo::Caller(reply) => refuse(reply, failure),
        SettleTo::Worker { outbox, token } => {
            outbox.answer(std::mem::take(token), Err(refusal::store(failure)));
            *to = SettleTo::Caller(nobody());
        }
        // They come to it again when the store has spoken.
        SettleTo::Reaper { .. } | SettleTo::Deadline => {}
    }
}

fn give_up_tell(to: &mut TellTo, failure: &Failure) {
    match to {
        TellTo::Caller(reply) => refuse(reply, failure),
        TellTo::Worker { outbox, token } => {
            outbox.answer(std::mem::take(token), Err(refusal::store(failure)));
            *to = TellTo::Caller(nobody());
        }
    }
}

fn refuse<A>(reply: &mut Reply<A>, failure: &Failure) {
    // A caller that has gone needs no answer.
    let _ = std::mem::replace(reply, nobody()).send(Err(refusal::store(failure)));
}

/// A reply that nobody waits for.
fn nobody<A>() -> Reply<A> {
    oneshot::channel().0
}
