//! Where a watch begins: from which place of the history on it misses nothing.

use std::sync::Arc;

use super::{Start, WatchFrom};
use crate::{
    decider::Decider,
    domain::{Address, Partition, Seq, Vector},
    failed::Failed,
    store::{Changes, ChangesQuery},
};

pub(super) async fn place(decider: &Arc<dyn Decider>, from: &WatchFrom) -> Result<Seq, Failed> {
    match (&from.start, &from.record) {
        (Start::Now, _) => newest(decider, &from.partition).await,
        (Start::Token(token), _) => after_token(decider, &from.partition, token.seq()).await,
        (Start::Version(version), Some(record)) => after_version(decider, record, version).await,
        // A version belongs to a record: of a whole partition it says nothing.
        (Start::Version(_), None) => Err(Failed::HistoryGone),
    }
}

/// Where the history ends now.
async fn newest(decider: &Arc<dyn Decider>, partition: &Partition) -> Result<Seq, Failed> {
    match changes(decider, partition, None).await? {
        Changes::Here { until, .. } => Ok(until),
        Changes::Cut => Err(Failed::HistoryGone),
    }
}

/// A token from ahead of the history is of a store that was put back since: its places are given anew.
async fn after_token(decider: &Arc<dyn Decider>, partition: &Partition, seq: Seq) -> Result<Seq, Failed> {
    if seq > newest(decider, partition).await? {
        return Err(Failed::HistoryGone);
    }
    match changes(decider, partition, Some(seq)).await? {
        Changes::Here { .. } => Ok(seq),
        Changes::Cut => Err(Failed::HistoryGone),
    }
}

/// The current version needs no history: nothing has changed up to the look at it, so the watch goes on from a place
/// before that look.
async fn after_version(decider: &Arc<dyn Decider>, record: &Address, version: &Vector) -> Result<Seq, Failed> {
    let partition = record.in_partition();
    // A CACHED write that is not stored has its place in the history still before it.
    decider.sync(&partition).await?;
    let start = newest(decider, &partition).await?;
    let current = decider.get(std::slice::from_ref(record)).await?;
    if current.iter().flatten().any(|edition| edition.vector == *version) {
        return Ok(start);
    }
    match decider.edition_at(record, version).await? {
        Some(edition) => after_token(decider, &partition, edition.seq).await,
        None => Err(Failed::HistoryGone),
    }
}

/// One row's worth: only the ends are of interest here.
async fn changes(decider: &Arc<dyn Decider>, partition: &Partition, after: Option<Seq>) -> Result<Changes, Failed> {
    decider.changes(ChangesQuery { partition: partition.clone(), after, rows: 1, bytes: 1 }).await
}
