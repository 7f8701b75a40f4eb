//! Group commit on PostgreSQL: one thread, one connection, one transaction for whatever has queued.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::doubt::{Witness, is_stored};
use super::session::Session;
use super::{Applied, Ledger, Postgres, Trouble, Wrote};
use crate::inbox::{CloseOnDrop, Inbox};
use crate::{Batch, Class, Failure, OpenError, Writer, WriterOptions};

/// How long a transaction may take: past it, the connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long until a server that could not say what became of a commit is asked again.
const HEALING: Duration = Duration::from_millis(100);
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
            inbox: Arc::clone(&inbox),
            batch_max: options.batch_max,
            session: Session::new(database.options.clone()),
            witness: Witness::new(),
            ledger,
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
    inbox: Arc<Inbox<(T, L::Command)>>,
    batch_max: usize,
    session: Session,
    /// Of the last transaction that was tried.
    witness: Witness,
    ledger: L,
    deliver: D,
}

impl<L: Ledger, T, D: FnMut(Batch<T, L::Answer>)> Worker<L, T, D> {
    fn run(mut self, runtime: &tokio::runtime::Runtime) {
        // However the thread ends, nobody may wait for it in vain.
        let closing = CloseOnDrop(Arc::clone(&self.inbox));
        while let Some(mut pile) = self.inbox.take() {
            while !pile.is_empty() {
                let rest = pile.split_off(pile.len().min(self.batch_max));
                let (tags, commands): (Vec<_>, Vec<_>) = pile.into_iter().unzip();
                pile = rest;
                let started = Instant::now();
                let answers = runtime.block_on(self.commit(&commands, !pile.is_empty()));
                (self.deliver)(Batch { answers: tags.into_iter().zip(answers).collect(), took: started.elapsed() });
            }
        }
        runtime.block_on(self.session.close());
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
            let trouble = match self.transaction(commands, more).await {
                Ok(answers) => {
                    self.ledger.committed();
                    return Ok(answers);
                }
                Err(trouble) => trouble,
            };
            self.ledger.rolled_back();
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

    async fn transaction(&mut self, commands: &[L::Command], more: bool) -> Result<Vec<L::Answer>, Trouble> {
        if let Err(failure) = within_patience(self.session.begin()).await {
            self.session.forget();
            return Err(failure.into());
        }
        if self.session.is_new() {
            // What was served by the connection before may still hold the witness's row, or be of another server.
            self.witness = Witness::new();
            self.ledger.rolled_back();
        }
        self.witness.number += 1;
        let tx = self.session.connection().await?;
        let applied = match timeout(PATIENCE, self.ledger.apply(tx, commands, self.witness)).await {
            Ok(applied) => applied,
            Err(_) => Err(silent().into()),
        };
        let Applied { answers, wrote } = match applied {
            Ok(applied) => applied,
            Err(trouble) => {
                if trouble.failure().spoils_connection() || trouble.failure().class() == Class::Silent {
                    self.session.forget();
                } else {
                    self.session.roll_back().await;
                }
                return Err(trouble);
            }
        };
        assert_eq!(answers.len(), commands.len(), "one answer for each command");
        // More may have come since the batch was taken.
        let more = more || self.inbox.waiting() > 0;
        let witness = (wrote == Wrote::Rows).then_some(self.witness);
        let failed = match timeout(PATIENCE, self.session.commit(witness, more)).await {
            Ok(Ok(())) => return Ok(answers),
            Ok(Err(error)) => Trouble::from(error),
            Err(_) => silent().into(),
        };
        self.session.forget();
        let lost = matches!(failed.failure().class(), Class::Io | Class::Silent);
        match wrote {
            // What was found is true, and nothing had to be stored.
            Wrote::Nothing => Ok(answers),
            Wrote::Rows | Wrote::RowsAndWitness if lost => match self.is_stored(failed.failure()).await {
                Some(true) => Ok(answers),
                Some(false) => Err(failed),
                None => Err(failed.failure().clone().in_doubt().into()),
            },
            Wrote::Rows | Wrote::RowsAndWitness => Err(failed),
        }
    }

    /// Whether a transaction whose commit was not answered is stored all the same: nothing is decided, and nobody is
    /// answered, before the server has said so. Only a writer that is closed gives up.
    async fn is_stored(&mut self, failure: &Failure) -> Option<bool> {
        tracing::error!(error = %failure, "a commit is in doubt");
        loop {
            match within_patience(self.ask()).await {
                Ok(stored) => {
                    tracing::info!(stored, "the server says what became of the commit");
                    return Some(stored);
                }
                Err(failure) => {
                    self.session.forget();
                    tracing::error!(error = %failure, "whether the commit is stored cannot be said yet");
                }
            }
            // This thread has nothing else to do.
            if self.inbox.closes_within(HEALING) {
                return None;
            }
        }
    }

    async fn ask(&mut self) -> Result<bool, Failure> {
        is_stored(self.session.connection().await?, self.witness).await
    }
}

async fn within_patience<A>(work: impl Future<Output = Result<A, Failure>>) -> Result<A, Failure> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> Failure {
    Failure::new(Class::Silent, "the database does not answer")
}
