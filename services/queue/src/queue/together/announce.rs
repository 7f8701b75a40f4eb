//! Tells the other processes that there is something new, not more often than they can use it.

use std::sync::Arc;

use super::super::Shared;
use super::super::sight::ANNOUNCE_EVERY;

pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        shared.together.news.notified().await;
        shared.others().announce();
        // What comes meanwhile is announced together, after this.
        tokio::time::sleep(ANNOUNCE_EVERY).await;
    }
}
