//! News of changes: this process's own at once, others' by a look at the shards' places now and then, as long as somebody
//! listens. (A NOTIFY would take a lock of the whole database at each commit.)

use std::{sync::Arc, time::Duration};

use holdfast_storage::{Failure, gate::silence};
use tokio::{
    sync::{Notify, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::debug;

use super::PATIENCE;
use crate::{
    domain::{SHARDS, Seq, ShardId},
    store::postgres::{Store, tables},
};

/// Between two looks at what others did.
const PACE: Duration = Duration::from_millis(100);

/// The last place of each shard that is known to be stored.
#[derive(Debug)]
pub(super) struct News {
    places: Vec<watch::Sender<Seq>>,
    /// Somebody began to listen.
    heard: Notify,
}

impl Default for News {
    fn default() -> Self {
        Self { places: (0..SHARDS).map(|_| watch::channel(0).0).collect(), heard: Notify::new() }
    }
}

impl News {
    /// A shard's history has grown. It never goes back.
    pub(super) fn rise(&self, shard: ShardId, to: Seq) {
        self.places[shard.index()].send_if_modified(|place| {
            let rises = to > *place;
            *place = to.max(*place);
            rises
        });
    }

    /// Listens to a shard.
    pub(super) fn of(&self, shard: ShardId) -> watch::Receiver<Seq> {
        let listener = self.places[shard.index()].subscribe();
        self.heard.notify_one();
        listener
    }

    fn wanted(&self) -> Vec<ShardId> {
        let listened = |shard: &ShardId| self.places[shard.index()].receiver_count() > 0;
        ShardId::all().filter(listened).collect()
    }
}

/// Looks as long as somebody listens, and the database is well.
pub(super) async fn look(news: Arc<News>, store: Store, calm: impl Fn() -> bool) {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let wanted = news.wanted();
        if wanted.is_empty() {
            news.heard.notified().await;
            continue;
        }
        if calm()
            && let Err(why) =
                timeout(PATIENCE, look_once(&news, &store, &wanted)).await.unwrap_or_else(|_| Err(silence()))
        {
            debug!(%why, "what other processes did cannot be seen");
        }
        ticks.tick().await;
    }
}

async fn look_once(news: &News, store: &Store, wanted: &[ShardId]) -> Result<(), Failure> {
    let mut connection = store.database().duties().acquire().await?;
    let rows = tables::read_shards(&mut connection, wanted).await?;
    rows.iter().for_each(|row| news.rise(row.shard, row.position));
    Ok(())
}
