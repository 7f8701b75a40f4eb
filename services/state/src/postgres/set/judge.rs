//! Whether an order is taken.

use super::Set;
use crate::{
    domain::{Precondition, ShardId, Standing, Verdict, decide, fence::standing},
    postgres::order::{Answer, Order},
    recall::Late,
    store::postgres::tables::Tried,
    write::{Command, Refusal, Write},
};

impl Set {
    /// Refuses an order whose lease does not hold its scope's fence.
    pub(super) fn fenced(&self, order: &Order) -> Option<Answer> {
        let holder = order.holder.as_ref()?;
        let held = match self.fences.get(&holder.scope) {
            Some(Tried::Here(fence)) => fence.as_ref(),
            Some(Tried::Busy) => return Some(Answer::Skipped),
            None => None,
        };
        match standing(held, self.fence_floor, holder.number, &holder.lease) {
            Standing::Holds => None,
            Standing::Newer => Some(Answer::Register),
            refused => Some(Answer::Fenced(refused)),
        }
    }

    /// Refuses a command whose lock is another's.
    pub(super) fn lock_lost(&self, command: &Command) -> Option<Answer> {
        let guard = command.guard.as_ref()?;
        let lock = self.newest(&guard.address);
        let held = lock.is_some_and(|lock| lock.is_live() && lock.revision == guard.revision);
        (!held).then(|| Answer::Refused(Box::new(Refusal::LockLost { address: guard.address.clone() })))
    }

    /// Why one of the command's writes is not taken; `None` where nothing speaks against any.
    pub(super) fn judge_all(&self, command: &Command, shard: ShardId) -> Option<Answer> {
        (0..command.writes.len()).find_map(|index| self.judge(command, index, shard))
    }

    fn judge(&self, command: &Command, index: usize, shard: ShardId) -> Option<Answer> {
        let write = &command.writes[index];
        let place = self.shards.get(&shard)?;
        let (precondition, deletes) = (self.bend(write), write.value.is_none());
        let current = self.newest(&write.address).map(|edition| &**edition);
        match decide(precondition, deletes, current, &place.floor, &place.epochs) {
            Verdict::Take => None,
            Verdict::Behind => {
                let current = self.current(&write.address, shard);
                let late = Box::new(Late { index, current, trails: self.trails(command) });
                Some(Answer::Late { late, epoch: place.epochs.current() })
            }
            Verdict::Lost => {
                let Precondition::Version(presented) = &write.precondition else { return None };
                let current = self.current(&write.address, shard);
                Some(Answer::Refused(Box::new(Refusal::Lost { presented: presented.clone(), current })))
            }
            Verdict::NotThere => Some(Answer::Refused(Box::new(Refusal::NotThere { address: write.address.clone() }))),
        }
    }

    /// With the fault planted, nobody looks at versions.
    fn bend<'w>(&self, write: &'w Write) -> &'w Precondition {
        if self.careless { &Precondition::Overwrite } else { &write.precondition }
    }
}
