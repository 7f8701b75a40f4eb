//! Leases that move to this process, and those of which memory and store disagree.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::super::Shared;
use super::super::core::Commands;
use super::super::tag::{AdoptTag, AdoptWhy, Tag};
use crate::store::{Adopt, AdoptFrom, Command, KeptLease, WriterId};

/// Leases that are moved at once.
pub(super) const MOVE_MAX: usize = 500;
/// Leases that are read at once, which reads all that has not ended: more than one process can keep.
pub(super) const COMPARE_MAX: usize = 1 << 20;

impl Shared {
    /// Moves leases to this process; what the store says of each, none where it says nothing.
    pub(in crate::queue) async fn move_leases(
        self: &Arc<Self>,
        leases: impl IntoIterator<Item = (Adopt, AdoptWhy)>,
    ) -> Vec<Option<bool>> {
        let mut commands = Commands::new();
        let mut answers = Vec::new();
        for (adopt, why) in leases {
            let (reply, answer) = oneshot::channel();
            answers.push(answer);
            let tag = AdoptTag { lease: adopt.lease, why, reply };
            commands.push((Tag::Adopt(tag), Command::Adopt(adopt)));
        }
        self.send(commands);
        join_all(answers).await.into_iter().map(|answer| answer.unwrap_or(None)).collect()
    }

    /// Takes over leases that a process kept which is gone; how many moved.
    pub(super) async fn move_orphans(self: &Arc<Self>, leases: Vec<KeptLease>, keeper: WriterId) -> usize {
        let orphans = leases.into_iter().map(|kept| orphaned(&kept, keeper));
        self.move_leases(orphans).await.into_iter().filter(|moved| *moved == Some(true)).count()
    }

    /// Compares the leases in memory with those that the store says this process keeps. What differs is asked for one by
    /// one, in the order of commits, so that nothing that is under way is mistaken.
    pub(super) async fn reconcile(self: &Arc<Self>) {
        let me = self.others().writer();
        let remembered: HashSet<Uuid> = self.core.lock().leases.all().collect();
        let Ok(kept) = self.others().leases_of(me, COMPARE_MAX).await else {
            self.core.lock().in_doubt = true;
            return;
        };
        let stored: HashSet<Uuid> = kept.iter().map(|kept| kept.lease.id).collect();
        let unknown = kept.iter().filter(|kept| !remembered.contains(&kept.lease.id)).map(|kept| orphaned(kept, me));
        let mut answers = self.move_leases(unknown).await;
        let ghosts: Vec<(Adopt, AdoptWhy)> = {
            let core = self.core.lock();
            let gone = remembered.difference(&stored).filter_map(|lease| Some((*lease, core.leases.get(*lease)?)));
            gone.map(|(lease, held)| doubted(held.invocation, lease, me)).collect()
        };
        answers.extend(self.move_leases(ghosts).await);
        if answers.contains(&None) {
            // The store could not say it of all of them.
            self.core.lock().in_doubt = true;
        }
    }

    /// A lease is said to be kept elsewhere now: unless it came back since, it is remembered no more.
    pub(super) async fn moved_away(self: &Arc<Self>, id: Uuid, lease: Uuid) {
        let me = self.others().writer();
        if self.core.lock().leases.get(lease).is_some() {
            self.move_leases([doubted(id, lease, me)]).await;
        }
    }
}

fn orphaned(kept: &KeptLease, keeper: WriterId) -> (Adopt, AdoptWhy) {
    let from = AdoptFrom::Keeper(keeper);
    (Adopt { id: kept.id, lease: kept.lease.id, from, to: None }, AdoptWhy::Orphaned)
}

fn doubted(id: Uuid, lease: Uuid, me: WriterId) -> (Adopt, AdoptWhy) {
    (Adopt { id, lease, from: AdoptFrom::Keeper(me), to: None }, AdoptWhy::Doubted)
}
