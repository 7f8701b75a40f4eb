//! Watching a record or a partition: every change, each once, in order.
//!
//! A watch pulls: it holds one batch of changes, and asks for the next when its reader has taken them. Where it stands is a
//! place in the history of the partition's shard, so nothing is missed between two questions, whatever wakes it.

mod begin;
mod follow;
mod token;

use std::sync::Arc;

use futures::Stream;

use crate::{
    domain::{Address, Edition, Partition, Vector},
    failed::Failed,
    state::State,
};

pub use token::{BadToken, Token};

/// What is watched, and from where on.
#[derive(Debug, Clone)]
pub struct WatchFrom {
    /// The partition.
    pub partition: Partition,
    /// One record of it; `None`: all.
    pub record: Option<Address>,
    /// From where.
    pub start: Start,
}

/// Where a watch begins.
#[derive(Debug, Clone)]
pub enum Start {
    /// Changes from now on.
    Now,
    /// Changes after the one that carried this token.
    Token(Token),
    /// Changes of the watched record after this version of it.
    Version(Vector),
}

/// One message of a watch.
#[derive(Debug, Clone)]
pub struct Changed {
    /// What changed. Absent in the first message, and now and then where nothing of interest has changed for long: then it
    /// says only how far the watch is.
    pub change: Option<(Address, Arc<Edition>)>,
    /// Where to go on after a broken stream.
    pub token: Token,
}

impl State {
    /// Watches a record or a partition. It ends by an error only: [`Failed::HistoryGone`] where the watch fell behind what
    /// the history keeps, [`Failed::Closed`] where the service ends.
    ///
    /// # Errors
    /// [`Failed::HistoryGone`] where it does not go back to the start, or the stores cannot be read.
    pub async fn watch(
        &self,
        from: WatchFrom,
    ) -> Result<impl Stream<Item = Result<Changed, Failed>> + Send + use<>, Failed> {
        let after = begin::place(self.decider(), &from).await?;
        Ok(follow::changes(Arc::clone(self.decider()), from.partition, from.record, after, self.stop().clone()))
    }
}

#[cfg(test)]
mod tests;
