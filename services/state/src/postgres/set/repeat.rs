//! Whether an order was taken before, where nothing but its id shows it: a repeat of a blind overwrite, or of a write that
//! makes a deleted record anew, would pass its precondition, or fail it without a trace.

use uuid::Uuid;

use super::Set;
use crate::{
    domain::{Precondition, Seq},
    postgres::order::{Answer, Order},
    write::{Command, Write, WrittenRecord},
};

impl Set {
    /// What a repeat is answered; `None` where the order is new, as far as the history goes back, or shows its repeat by
    /// itself.
    pub(super) fn repeated(&self, order: &Order) -> Option<Answer> {
        let command = &*order.command;
        let write_id = command.write_id?;
        if !command.writes.iter().any(|write| self.shows_repeat_by_id_only(write)) {
            return None;
        }
        let mut earlier = Vec::with_capacity(command.writes.len());
        for write in &command.writes {
            match self.earlier(write, write_id) {
                Some(found) => earlier.push(found),
                // Of blind writes all that are kept were looked at: a batch is in the history as a whole.
                None if write.precondition == Precondition::Overwrite => return None,
                None => return self.consult(order),
            }
        }
        Some(Answer::Repeated(earlier))
    }

    fn consult(&self, order: &Order) -> Option<Answer> {
        let heads = self.heads(&order.command);
        if order.consulted.as_deref() == Some(&heads[..]) {
            return None;
        }
        Some(Answer::Consult { trails: self.trails(&order.command), heads: heads.into() })
    }

    fn shows_repeat_by_id_only(&self, write: &Write) -> bool {
        match write.precondition {
            Precondition::Overwrite => true,
            Precondition::Version(_) => false,
            Precondition::Absent => self.newest(&write.address).is_some_and(|edition| !edition.is_live()),
        }
    }

    /// What this transaction has in hand of a write's first copy.
    fn earlier(&self, write: &Write, write_id: Uuid) -> Option<WrittenRecord> {
        let slot = self.records.get(&write.address)?;
        if let Some(edition) = slot.newest_first().find(|edition| edition.writer.write_id == write_id) {
            return Some((&**edition).into());
        }
        self.blind.get(&(write.address.clone(), write_id)).map(Into::into)
    }

    /// The newest stored writes of a command's records: what came after them is in hand.
    fn heads(&self, command: &Command) -> Vec<Seq> {
        let slots = command.writes.iter().map(|write| self.records.get(&write.address));
        slots.map(|slot| slot.and_then(|slot| slot.loaded.as_ref()).map_or(0, |loaded| loaded.seq)).collect()
    }
}
