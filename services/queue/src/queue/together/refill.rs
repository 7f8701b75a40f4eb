//! Reads on in lines of which too little is in sight.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use holdfast_storage::Failure;
use tokio::time::Instant;

use super::super::Shared;
use super::super::core::Commands;
use super::super::window::Read;
use super::AGAIN;
use crate::store::Candidate;

/// Lines that are read at the same time.
const READS_MAX: usize = 4;
/// The longest that a caller who does not want to wait has its lines read for.
const LOOK_MAX: Duration = Duration::from_secs(1);

type Found = (Read, Result<Vec<Candidate>, Failure>);

pub(super) async fn run(shared: Arc<Shared>) {
    let mut reads = FuturesUnordered::new();
    loop {
        while reads.len() < READS_MAX
            && let Some(read) = shared.next_read()
        {
            reads.push(shared.read_line(read));
        }
        let found = tokio::select! {
            Some(found) = reads.next() => found,
            () = shared.together.needy.notified() => continue,
        };
        if !shared.line_is_read(found) {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl Shared {
    fn next_read(&self) -> Option<Read> {
        self.core.lock().window.as_mut().and_then(super::super::window::Window::next_read)
    }

    async fn read_line(&self, read: Read) -> Found {
        let began = Instant::now();
        let found = self.others().line((*read.line).clone(), read.after.clone(), read.limit).await;
        if read.anew {
            *self.together.read_anew.lock() += began.elapsed();
        }
        (read, found)
    }

    /// Takes in what was read; false when it could not be.
    fn line_is_read(self: &Arc<Self>, (read, found): Found) -> bool {
        let now = self.clock.now();
        let mut core = self.core.lock();
        let well = found.is_ok();
        match found {
            Ok(found) => core.line_read(&read, found, now),
            Err(error) => {
                tracing::debug!(%error, "a line could not be read; it will be");
                if let Some(window) = &mut core.window {
                    window.unread(&read);
                }
            }
        }
        let mut commands = Commands::new();
        core.dispatch(now, &mut commands);
        self.submit(&mut core, commands, now);
        drop(core);
        self.together.refilled.notify_waiters();
        well
    }

    /// Brings everything into sight that is ready of these agent types: for a caller who does not want to wait.
    pub(in crate::queue) async fn look_for(self: &Arc<Self>, agents: &[Arc<str>]) {
        let looking = async {
            let _ = self.scan().await;
            while let Ok(true) = self.look().await {}
            loop {
                let refilled = self.together.refilled.notified();
                if !self.needs(agents) {
                    return;
                }
                self.together.needy.notify_one();
                refilled.await;
            }
        };
        // A store that says nothing in time has nothing to give.
        let _ = tokio::time::timeout(LOOK_MAX, looking).await;
    }

    fn needs(&self, agents: &[Arc<str>]) -> bool {
        self.core.lock().window.as_ref().is_some_and(|window| window.is_needy_of(agents))
    }
}
