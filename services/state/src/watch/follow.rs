//! A watch under way.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{Stream, stream};
use holdfast_rpc::service::Stop;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{Changed, Token};
use crate::{
    decider::Decider,
    domain::{Address, Edition, Partition, Seq},
    failed::Failed,
    store::{Changes, ChangesQuery},
};

/// How long another process's writes stay unnoticed at most, where the decider's news does not tell of them.
const POLL: Duration = Duration::from_millis(200);
/// Between two questions where the last one found nothing: neighbours in the shard may write without pause.
const PACE: Duration = Duration::from_millis(5);
/// How often a watch that has nothing to show says how far it is: by an old place, a broken stream could not go on.
const REMINDER: Duration = Duration::from_secs(30);
/// Rows of the shard's history that one question looks at …
const ROWS: usize = 1_000;
/// … and about so many bytes that it holds: thousands of readers may stand still with a batch each.
const BYTES: usize = 128 << 10;

struct Watch {
    decider: Arc<dyn Decider>,
    news: watch::Receiver<Seq>,
    stop: Stop,
    partition: Partition,
    record: Option<Address>,
    /// What was found and not shown yet.
    batch: VecDeque<(Address, Arc<Edition>)>,
    /// Everything up to here is in the batch, or was shown.
    until: Seq,
    more: bool,
    /// The place that the reader knows, and since when.
    told: Option<(Seq, Instant)>,
}

/// Every change behind a place; first of all, a message that says which.
pub(super) fn changes(
    decider: Arc<dyn Decider>,
    partition: Partition,
    record: Option<Address>,
    after: Seq,
    stop: Stop,
) -> impl Stream<Item = Result<Changed, Failed>> + Send + use<> {
    let news = decider.news(partition.shard());
    let batch = VecDeque::new();
    let watch = Watch { decider, news, stop, partition, record, batch, until: after, more: true, told: None };
    stream::unfold(Some(watch), |watch| async {
        let mut watch = watch?;
        match watch.next().await {
            Ok(changed) => Some((Ok(changed), Some(watch))),
            Err(failed) => Some((Err(failed), None)),
        }
    })
}

impl Watch {
    async fn next(&mut self) -> Result<Changed, Failed> {
        loop {
            if let Some(message) = self.at_hand() {
                return Ok(message);
            }
            if !self.more {
                self.rest().await?;
            }
            self.ask().await?;
        }
    }

    /// What can be told without asking.
    fn at_hand(&mut self) -> Option<Changed> {
        if let Some((address, edition)) = self.batch.pop_front() {
            let seq = edition.seq;
            return Some(self.tell(Some((address, edition)), seq));
        }
        let reminds = |(told, at): (Seq, Instant)| told != self.until && at.elapsed() >= REMINDER;
        self.told.is_none_or(reminds).then(|| self.tell(None, self.until))
    }

    fn tell(&mut self, change: Option<(Address, Arc<Edition>)>, seq: Seq) -> Changed {
        self.told = Some((seq, Instant::now()));
        Changed { change, token: Token::new(&self.partition, seq) }
    }

    /// Until there may be something new.
    async fn rest(&mut self) -> Result<(), Failed> {
        let news = async {
            sleep(PACE).await;
            timeout(POLL - PACE, self.news.changed()).await
        };
        match self.stop.run_until_cancelled(news).await {
            Some(Ok(Err(_))) | None => Err(Failed::Closed { in_doubt: false }),
            Some(Ok(Ok(())) | Err(_)) => Ok(()),
        }
    }

    async fn ask(&mut self) -> Result<(), Failed> {
        // What comes from here on is news: it may be missing from the answer.
        self.news.mark_unchanged();
        let query =
            ChangesQuery { partition: self.partition.clone(), after: Some(self.until), rows: ROWS, bytes: BYTES };
        let Changes::Here { changes, until, more, .. } = self.decider.changes(query).await? else {
            return Err(Failed::HistoryGone);
        };
        let shown = |address: &Address| match &self.record {
            Some(record) => address == record,
            None => !address.is_hidden(),
        };
        self.batch.extend(changes.into_iter().filter(|(address, _)| shown(address)));
        (self.until, self.more) = (until, more);
        Ok(())
    }
}
