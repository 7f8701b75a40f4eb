//! What processes share, behind breakers of its own: one for what is read, one for what is shown or taken.

use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use holdfast_storage::Failure;
use tokio::sync::watch;

use super::{GiveUp, Guarded, Slot, Store};
use crate::domain::time::Micros;
use crate::store::{Candidate, Count, Due, KeptLease, Line, Member, Note, Progress, ReadyKey, Shared, WriterId};

impl<S: Store<Slot>, T: GiveUp> Guarded<S, T> {
    fn inner_shared(&self) -> &dyn Shared {
        let Some(shared) = self.inner.shared() else { unreachable!("handed out only where the store is shared") };
        shared
    }
}

impl<S: Store<Slot>, T: GiveUp> Shared for Guarded<S, T> {
    fn writer(&self) -> WriterId {
        self.inner_shared().writer()
    }

    fn beat(&self, drain_rate: f64) -> BoxFuture<'_, Result<Vec<Member>, Failure>> {
        let beat = self.guard.members.call(move || self.inner_shared().beat(drain_rate));
        // Nobody may submit anything for long, and a circuit that nobody tries stays open.
        beat.inspect_ok(|_| self.guard.writes.hears_well()).boxed()
    }

    fn was_forgotten(&self) -> bool {
        self.inner_shared().was_forgotten()
    }

    fn tail(&self, seen: Vec<ReadyKey>, limit: usize) -> BoxFuture<'_, Result<Vec<Candidate>, Failure>> {
        self.guard.duties.call(move || self.inner_shared().tail(seen, limit)).boxed()
    }

    fn line(&self, line: Line, after: Vec<ReadyKey>, limit: usize) -> BoxFuture<'_, Result<Vec<Candidate>, Failure>> {
        self.guard.duties.call(move || self.inner_shared().line(line, after, limit)).boxed()
    }

    fn lines(&self) -> BoxFuture<'_, Result<Vec<Line>, Failure>> {
        self.guard.duties.call(move || self.inner_shared().lines()).boxed()
    }

    fn counts(&self) -> BoxFuture<'_, Result<Vec<Count>, Failure>> {
        self.guard.duties.call(move || self.inner_shared().counts()).boxed()
    }

    fn due(&self, now: Micros, limit: usize) -> BoxFuture<'_, Result<Due, Failure>> {
        self.guard.duties.call(move || self.inner_shared().due(now, limit)).boxed()
    }

    fn notes(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Note>, Failure>> {
        self.guard.members.call(move || self.inner_shared().notes(limit)).boxed()
    }

    fn leases_of(&self, writer: WriterId, limit: usize) -> BoxFuture<'_, Result<Vec<KeptLease>, Failure>> {
        self.guard.duties.call(move || self.inner_shared().leases_of(writer, limit)).boxed()
    }

    fn progress(&self, ids: Vec<uuid::Uuid>) -> BoxFuture<'_, Result<Vec<Progress>, Failure>> {
        self.guard.duties.call(move || self.inner_shared().progress(ids)).boxed()
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), Failure>> {
        self.guard.members.call(move || self.inner_shared().leave()).boxed()
    }

    fn bury(&self, writer: WriterId) -> BoxFuture<'_, Result<(), Failure>> {
        self.guard.members.call(move || self.inner_shared().bury(writer)).boxed()
    }

    fn announce(&self) {
        self.inner_shared().announce();
    }

    fn heard(&self) -> watch::Receiver<u64> {
        self.inner_shared().heard()
    }
}
