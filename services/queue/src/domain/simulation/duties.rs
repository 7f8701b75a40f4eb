//! What a process does of its own accord: it frees leases, ends what has expired, and takes over from the dead.

use std::time::Duration;

use uuid::Uuid;

use super::fault::Fault;
use super::history::Happened;
use super::process::Process;
use super::store::{Row, Store};
use super::{AGAIN, GRACE, LEASE, LOST_MAX};
use crate::domain::leases::Confines;
use crate::domain::time::Now;
use crate::domain::transition::NotHeld;

/// A gap between two of its steps by which a process knows that it was paused.
const PAUSED: Duration = Duration::from_secs(2);
/// How long a process's beat is seen unchanged until it is taken for dead.
const DEAD: Duration = Duration::from_secs(3);

impl Process {
    /// Does what is due. `fails` says whether the store fails this time.
    pub(super) fn reap(&mut self, store: &mut Store, mut fails: impl FnMut() -> bool, now: Now) {
        let was_paused = now.moment.since(self.stepped_at) > PAUSED && store.shared;
        self.stepped_at = now.moment;
        self.beat += 1;
        for (_, lease) in store.notes.extract_if(.., |(process, _)| *process == self.number) {
            self.leases.end(lease);
        }
        if was_paused {
            // Nobody could renew anything meanwhile.
            self.leases.begin_again(now.moment.after(LEASE), now.moment.after(LEASE));
        }
        let due = self.leases.due(now.moment);
        if store.has(Fault::LeaseFreedEarly) {
            let some =
                self.leases.next_due().and_then(|_| self.leases.due(now.moment.after(LEASE / 2)).first().copied());
            some.into_iter().for_each(|lease| self.free(store, lease, now));
        }
        let never = store.has(Fault::LeaseNotFreed);
        for lease in due {
            if !never && !fails() {
                self.free(store, lease, now);
            }
            self.leases.keep(lease, now.moment.after(AGAIN));
        }
        let expired = match store.shared {
            false => self.schedule.due(now.moment),
            true => {
                let passed = |row: &&Row| row.deadline_wall.is_some_and(|at| at <= self.now(now).wall);
                store.live_rows().filter(passed).map(|row| row.id).collect()
            }
        };
        let ignored = store.has(Fault::DeadlineIgnored);
        for id in expired.into_iter().filter(|_| !ignored) {
            if fails() {
                self.schedule.expire_again(id, now.moment.after(AGAIN));
            } else if let Ok(step) = store.change(id, now, |live| Ok(live.expired(now.wall))) {
                self.stepped(store, id, &step, now);
            }
        }
    }

    /// Frees a lease, if it is still its keeper's and its stream's.
    pub(super) fn free(&mut self, store: &mut Store, lease: Uuid, now: Now) {
        let Some(held) = self.leases.get(lease).cloned() else { return };
        self.leases.free(lease);
        let keeper = store.rows.get(&held.invocation).and_then(|row| row.keeper);
        let step = match keeper == Some(self.number) {
            true => store.change(held.invocation, now, |live| live.lost(lease, held.stream, LOST_MAX, now.wall)),
            false => Err(NotHeld),
        };
        match step {
            Ok(step) => self.stepped(store, held.invocation, &step, now),
            // Another process has it, or it has ended there.
            Err(NotHeld) => self.leases.freed_elsewhere(lease),
        }
    }

    /// Takes over the leases of processes whose beat it has seen unchanged for too long.
    pub(super) fn watch(&mut self, others: &[(usize, u64)], store: &mut Store, now: Now) {
        for &(other, beat) in others {
            let seen = self.seen.entry(other).or_insert((beat, now.moment));
            if seen.0 != beat {
                *seen = (beat, now.moment);
            }
            if now.moment.since(seen.1) < DEAD {
                continue;
            }
            let theirs = |row: &&Row| row.keeper == Some(other);
            let rows: Vec<Row> = store.live_rows().filter(theirs).cloned().collect();
            for row in rows {
                let Some(lease) = row.live().and_then(|live| live.lease().cloned()) else { continue };
                self.keep(&row, &lease, now.moment.after(LEASE), Confines::Unknown);
                store.rows.entry(row.id).and_modify(|row| row.keeper = Some(self.number));
                store.notes.push((other, lease.id));
                store.says(Happened::Renewed { lease: lease.id, at: now.moment });
                // Where its worker is, the new keeper does not know: to it the stream is broken.
                let broken = lease.stream.map(|stream| Happened::Broke { stream, at: now.moment });
                broken.into_iter().for_each(|broken| store.says(broken));
            }
        }
    }

    /// A stream of it breaks.
    pub(super) fn broke(&mut self, stream: Uuid, worker: &str, now: Now) {
        self.demand.leave(stream);
        self.leases.broke(stream, worker.into(), Confines::To(None), now.moment.after(GRACE));
    }
}
