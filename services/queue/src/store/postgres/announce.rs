//! Wake-ups between processes: NOTIFY takes a lock of the whole database at commit, so it has a connection of its own,
//! never a writer's transaction, and many announcements make one.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::super::{Calm, WriterId};

/// Between two announcements.
const PACE: Duration = Duration::from_millis(5);
/// Between two tries to listen.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells the others, soon.
#[derive(Debug, Clone, Default)]
pub(super) struct Announcer(Arc<Notify>);

impl Announcer {
    pub(super) fn announce(&self) {
        self.0.notify_one();
    }
}

/// The two tasks that tell and listen. They end with it.
pub(super) struct Wire {
    tasks: [JoinHandle<()>; 2],
    heard: watch::Receiver<u64>,
    calm: Arc<OnceLock<Calm>>,
}

impl Wire {
    /// `channel` is shared by those who work on the same tables.
    pub(super) fn start(pool: &PgPool, channel: String, writer: WriterId, announcer: Announcer) -> Self {
        let (hear, heard) = watch::channel(0);
        let calm: Arc<OnceLock<Calm>> = Arc::default();
        let tell = tell(pool.clone(), channel.clone(), writer, announcer, Arc::clone(&calm));
        let listen = listen(pool.clone(), channel, writer, hear, Arc::clone(&calm));
        Self { tasks: [tokio::spawn(tell), tokio::spawn(listen)], heard, calm }
    }

    /// Leaves the database alone while it is in trouble.
    pub(super) fn heed(&self, calm: Calm) {
        // There is one guard, and it speaks once.
        let _ = self.calm.set(calm);
    }

    pub(super) fn heard(&self) -> watch::Receiver<u64> {
        self.heard.clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn may(calm: &OnceLock<Calm>) -> bool {
    calm.get().is_none_or(|calm| calm())
}

async fn tell(pool: PgPool, channel: String, writer: WriterId, announcer: Announcer, calm: Arc<OnceLock<Calm>>) {
    loop {
        announcer.0.notified().await;
        if !may(&calm) {
            continue;
        }
        let told = sqlx::query("SELECT pg_notify($1, $2)").bind(&channel).bind(writer.to_string()).execute(&pool).await;
        if let Err(error) = told {
            // Others look by themselves now and then.
            tracing::debug!(%error, "other queue processes could not be told");
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn listen(pool: PgPool, channel: String, writer: WriterId, hear: watch::Sender<u64>, calm: Arc<OnceLock<Calm>>) {
    let own = writer.to_string();
    loop {
        if may(&calm)
            && let Err(error) = hear_until_cut(&pool, &channel, &own, &hear).await
        {
            tracing::debug!(%error, "other queue processes cannot be heard");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear_until_cut(pool: &PgPool, channel: &str, own: &str, hear: &watch::Sender<u64>) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    loop {
        // Whatever was said before it listened, or while the line was cut, was not heard.
        hear.send_modify(|times| *times += 1);
        while let Some(said) = listener.try_recv().await? {
            if said.payload() != own {
                hear.send_modify(|times| *times += 1);
            }
        }
    }
}
