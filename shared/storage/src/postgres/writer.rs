//! Group commit on PostgreSQL: one thread, one connection, one transaction for whatever has queued.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::session::Session;
use super::transaction::Transactions;
use super::{Ledger, Postgres, Trouble};
use crate::inbox::{CloseOnDrop, Inbox};
use crate::{Batch, Class, Failure, OpenError, Writer, WriterOptions};

/// How often a batch is tried that others came in between of.
const TRIES: u32 = 10;
/// What a try waits longer than the one before the last; the first is made again almost at once.
const PAUSE: Duration = Duration::from_millis(1);

impl<T: Send + 'static, C: Send + 'static> Writer<T, C> {
    /// Starts the thread of a store on PostgreSQL. `deliver` is called on it once for each batch, after the commit: hand the batch over in one
    /// message there, and return.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_on_postgres<L: Ledger<Command = C>>(
        options: WriterOptions,
        database: &Postgres,
        ledger: L,
        deliver: impl FnMut(Batch<T, L::Answer>) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let inbox = Arc::new(Inbox::new(options.waiting_max, options.bytes_max));
        let worker = Worker {
            batch_max: options.batch_max,
            transactions: Transactions::new(Arc::clone(&inbox), Session::new(database.options.clone()), ledger),
            deliver,
        };
        let unstartable = |source: std::io::Error| OpenError::Thread { name: options.name, source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unstartable)?;
        let thread = std::thread::Builder::new()
            .name(options.name.to_owned())
            .spawn(move || worker.run(&runtime))
            .map_err(unstartable)?;
        Ok(Self::handle(inbox, L::size, thread))
    }
}

/// Whether a batch failed at something that one of its commands alone may be at fault for.
fn is_of_one(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Again(_)) || trouble.failure().class() == Class::Statement
}

struct Worker<L: Ledger, T, D> {
    batch_max: usize,
    transactions: Transactions<L, T>,
    deliver: D,
}

impl<L: Ledger, T, D: FnMut(Batch<T, L::Answer>)> Worker<L, T, D> {
    fn run(mut self, runtime: &tokio::runtime::Runtime) {
        // However the thread ends, nobody may wait for it in vain.
        let inbox = Arc::clone(&self.transactions.inbox);
        let closing = CloseOnDrop(Arc::clone(&inbox));
        while let Some(mut pile) = inbox.take() {
            while !pile.is_empty() {
                let rest = pile.split_off(pile.len().min(self.batch_max));
                let (tags, commands): (Vec<_>, Vec<_>) = pile.into_iter().unzip();
                pile = rest;
                let started = Instant::now();
                let answers = runtime.block_on(self.commit(&commands, !pile.is_empty()));
                (self.deliver)(Batch { answers: tags.into_iter().zip(answers).collect(), took: started.elapsed() });
            }
        }
        runtime.block_on(self.transactions.session.close());
        drop(closing);
    }

    async fn commit(&mut self, commands: &[L::Command], more: bool) -> Vec<Result<L::Answer, Failure>> {
        match self.attempts(commands, more).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            // One bad command must not take its neighbours along, nor one that never gets through: find it.
            Err(trouble) if is_of_one(&trouble) && commands.len() > 1 => {
                let mut answers = Vec::with_capacity(commands.len());
                for command in commands {
                    let answer = self.attempts(std::slice::from_ref(command), false).await;
                    answers
                        .push(answer.map(|mut answers| answers.remove(0)).map_err(|trouble| trouble.failure().clone()));
                }
                answers
            }
            Err(trouble) => commands.iter().map(|_| Err(trouble.failure().clone())).collect(),
        }
    }

    async fn attempts(&mut self, commands: &[L::Command], more: bool) -> Result<Vec<L::Answer>, Trouble> {
        let mut tries = 1;
        loop {
            let trouble = match self.transactions.run(commands, more).await {
                Ok(answers) => return Ok(answers),
                Err(trouble) => trouble,
            };
            let failure = trouble.failure().clone();
            if matches!(trouble, Trouble::Again(_)) && tries < TRIES {
                tracing::debug!(error = %failure, "a batch met another process's, and is tried again");
                tries += 1;
                // Whoever it met may need a moment.
                tokio::time::sleep(PAUSE * (tries / 2)).await;
                continue;
            }
            tracing::error!(error = %failure, commands = commands.len(), "a batch could not be stored");
            return Err(trouble);
        }
    }
}
