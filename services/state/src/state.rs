//! The use cases: what the service does, apart from how it is asked and from where it is decided.

use std::sync::Arc;

use holdfast_rpc::service::Stop;

use crate::{
    config::Config,
    decider::Decider,
    domain::{Address, Edition, Partition, Vector},
    failed::Failed,
    locks::Desks,
    redis::clock::{Clock, SinceBoot},
    stale::Stale,
    store::{FenceScope, HistoryQuery, Page, PageQuery},
    write::{Command, Holder, Written},
};

/// The state service.
#[derive(Clone)]
pub struct State {
    decider: Arc<dyn Decider>,
    stale: Arc<Stale>,
    desks: Arc<Desks>,
    stop: Stop,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl State {
    /// The use cases over a place that decides, by the default settings.
    pub fn over(decider: Arc<dyn Decider>) -> Self {
        Self::with(decider, &Config::default(), Stop::new())
    }

    /// The use cases over a place that decides. What waits (for a lock, or for changes) ends when it is told to stop.
    pub fn with(decider: Arc<dyn Decider>, config: &Config, stop: Stop) -> Self {
        Self::by_clock(decider, config, stop, Arc::new(SinceBoot))
    }

    /// The same, by this clock.
    pub(crate) fn by_clock(decider: Arc<dyn Decider>, config: &Config, stop: Stop, clock: Arc<dyn Clock>) -> Self {
        let stale = Arc::new(Stale::new(config.stale_cache.bytes(), clock));
        let desks = Desks::new(Arc::clone(&decider), stop.clone());
        Self { decider, stale, desks, stop }
    }

    /// Ends what waits, and then the place that decides, with everything stored. No other call may be under way.
    pub async fn close(&self) {
        self.desks.close().await;
        self.decider.close().await;
    }

    /// Where it is decided.
    pub fn decider(&self) -> &Arc<dyn Decider> {
        &self.decider
    }

    pub(crate) fn desks(&self) -> &Arc<Desks> {
        &self.desks
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(crate) fn stale(&self) -> &Stale {
        &self.stale
    }

    /// A record as it stands; `None` where there is none.
    ///
    /// # Errors
    /// The stores cannot be read.
    pub async fn get(&self, address: &Address) -> Result<Option<Arc<Edition>>, Failed> {
        Ok(self.get_all(std::slice::from_ref(address)).await?.pop().flatten())
    }

    /// Several records.
    ///
    /// # Errors
    /// The stores cannot be read.
    pub async fn get_all(&self, addresses: &[Address]) -> Result<Vec<Option<Arc<Edition>>>, Failed> {
        let sent = self.stale.now();
        let found = self.decider.get(addresses).await?;
        let live: Vec<_> = found.into_iter().map(|edition| edition.filter(|edition| edition.is_live())).collect();
        self.stale.refresh(addresses, &live, sent);
        Ok(live)
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
        let written = self.decider.write(command, holder).await;
        // Also where it failed: it may have happened.
        self.stale.written(command.writes.iter().map(|write| &write.address));
        written
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
