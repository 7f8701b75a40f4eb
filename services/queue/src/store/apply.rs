//! What each command does, once for every backend: decisions over a few operations on tables, one command after another,
//! each seeing what the ones before it did.

mod accept;
mod claim;
mod redrive;
mod settle;
mod tables;
mod tell;

use super::{Answer, Command};
pub(crate) use tables::{At, Created, Revived, Row, Tables};

/// Applies one command.
pub(crate) fn apply<T: Tables>(tables: &mut T, command: &Command) -> Result<Answer, T::Error> {
    Ok(match command {
        Command::Accept(accept) => Answer::Accepted(accept::accept(tables, accept)?),
        Command::Claim(claim) => Answer::Claimed(claim::claim(tables, claim)?.map(Box::new)),
        Command::Settle(settle) => Answer::Settled(Box::new(settle::settle(tables, settle)?)),
        Command::Adopt(adopt) => Answer::Adopted(claim::adopt(tables, adopt)?.map(Box::new)),
        Command::Tell(tell) => Answer::Told(tell::tell(tables, tell)?),
        Command::ForgetRaises(raises) => {
            tables.forget_raises(raises)?;
            Answer::Forgotten
        }
        Command::Promote(ids) => Answer::Promoted(tables.promote(ids)?),
        Command::Redrive(redrive) => Answer::Redriven(Box::new(redrive::redrive(tables, redrive)?)),
        Command::Discard(discard) => Answer::Discarded(tables.discard(discard)?),
    })
}
