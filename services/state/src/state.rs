//! The use cases: what the service does, apart from how it is asked and from where it is decided.

use std::sync::Arc;

use crate::{
    decider::Decider,
    domain::{Address, Edition, Partition, Vector},
    failed::Failed,
    store::{FenceScope, HistoryQuery, Page, PageQuery},
    write::{Command, Holder, Written},
};

/// The state service.
#[derive(Clone)]
pub struct State {
    decider: Arc<dyn Decider>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl State {
    /// The use cases over a place that decides.
    pub fn over(decider: Arc<dyn Decider>) -> Self {
        Self { decider }
    }

    /// Where it is decided.
    pub fn decider(&self) -> &Arc<dyn Decider> {
        &self.decider
    }

    /// A record as it stands; `None` where there is none.
    ///
    /// # Errors
    /// The stores cannot be read.
    pub async fn get(&self, address: &Address) -> Result<Option<Arc<Edition>>, Failed> {
        let found = self.decider.get(std::slice::from_ref(address)).await?;
        Ok(found.into_iter().flatten().find(|edition| edition.is_live()))
    }

    /// Several records.
    ///
    /// # Errors
    /// The stores cannot be read.
    pub async fn get_all(&self, addresses: &[Address]) -> Result<Vec<Option<Arc<Edition>>>, Failed> {
        let found = self.decider.get(addresses).await?;
        Ok(found.into_iter().map(|edition| edition.filter(|edition| edition.is_live())).collect())
    }

    /// A record as it was at a version; `None` where the history has it no more, or it was deleted then.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn get_at(&self, address: &Address, version: &Vector) -> Result<Option<Arc<Edition>>, Failed> {
        let found = self.decider.edition_at(address, version).await?;
        Ok(found.filter(|edition| edition.is_live()))
    }

    /// Takes a command, or says why not.
    ///
    /// # Errors
    /// See [`Failed`].
    pub async fn write(&self, command: &Command, holder: Option<&Holder>) -> Result<Written, Failed> {
        self.decider.write(command, holder).await
    }

    /// A page of a partition.
    ///
    /// # Errors
    /// The stores cannot be read, or what was decided cannot be stored.
    pub async fn list(&self, query: PageQuery) -> Result<Page, Failed> {
        self.decider.list(query).await
    }

    /// A record's history, newest first.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn history(&self, query: HistoryQuery) -> Result<Vec<Arc<Edition>>, Failed> {
        self.decider.history(query).await
    }

    /// Returns once everything acknowledged in a partition is stored.
    ///
    /// # Errors
    /// It cannot be stored.
    pub async fn sync(&self, partition: &Partition) -> Result<(), Failed> {
        self.decider.sync(partition).await
    }

    /// Makes a lease's fence the one that counts in its scope, durably.
    ///
    /// # Errors
    /// [`Failed::Fenced`] where a newer one counts, or the store is in trouble.
    pub async fn register_fence(&self, holder: &Holder) -> Result<(), Failed> {
        self.decider.register_fence(holder).await
    }

    /// Ends every lease of a scope up to a fence, durably.
    ///
    /// # Errors
    /// The store is in trouble.
    pub async fn raise_fence(&self, scope: &FenceScope, number: u64) -> Result<(), Failed> {
        self.decider.raise_fence(scope, number).await
    }
}
