//! Group commit: one thread, one transaction for whatever has queued.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use holdfast_resilience::BusyPoll;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::count::Count;
use crate::inbox::{CloseOnDrop, Inbox};
use crate::{Class, Database, Failure, OpenError, Refused};

/// How long until a store that could not say what became of a commit is asked again.
const HEALING: Duration = Duration::from_millis(250);

/// What a store does with a batch of commands.
pub trait Journal: Send + 'static {
    /// What is asked.
    type Command: Send + 'static;
    /// What became of it. Refusals that are no fault of the disk belong in here.
    type Answer: Send + 'static;

    /// Applies the commands in their order within the transaction, one answer each. An error undoes all of them.
    ///
    /// # Errors
    /// What SQLite says.
    fn apply(&mut self, tx: &Transaction<'_>, commands: &[Self::Command]) -> rusqlite::Result<Vec<Self::Answer>>;

    /// Bytes that a command takes while it waits, roughly.
    fn size(_command: &Self::Command) -> usize {
        0
    }

    /// Makes what was applied durable. After an I/O error the writer asks the store itself whether it is there.
    ///
    /// # Errors
    /// What SQLite says.
    fn commit(&mut self, tx: Transaction<'_>) -> rusqlite::Result<()> {
        tx.commit()
    }

    /// Nothing since the last successful commit was stored: forget what was decided in memory.
    fn rolled_back(&mut self) {}
}

/// What a writer takes at most.
#[derive(Debug, Clone, Copy)]
pub struct WriterOptions {
    /// The thread's name.
    pub name: &'static str,
    /// Commands that may wait for the next commit.
    pub waiting_max: usize,
    /// Their bytes, by [`Journal::size`]; as many again may be on their way to the disk.
    pub bytes_max: usize,
    /// Commands in one transaction: bounds how long the first of them waits.
    pub batch_max: usize,
    /// How long the thread looks for the next ones before it sleeps, at most: see [`BusyPoll`].
    pub busy_poll: Duration,
}

/// Answers that became true at once, in the order of the commands, each with the tag it was submitted with.
#[derive(Debug)]
pub struct Batch<T, A> {
    /// One for each command.
    pub answers: Vec<(T, Result<A, Failure>)>,
    /// How long the transaction took.
    pub took: Duration,
}

/// The handle of a writer thread. Dropping the last one lets the thread finish what was submitted, and waits for it.
#[derive(Debug)]
pub struct Writer<T, C> {
    inbox: Arc<Inbox<(T, C)>>,
    size: fn(&C) -> usize,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static, C: Send + 'static> Writer<T, C> {
    /// Starts the thread. `deliver` is called on it once for each batch, after the commit: hand the batch over in one
    /// message there, and return.
    ///
    /// # Errors
    /// [`OpenError::File`] when the database cannot be opened for writing.
    pub fn start<J: Journal<Command = C>>(
        options: WriterOptions,
        database: Database,
        journal: J,
        deliver: impl FnMut(Batch<T, J::Answer>) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let unusable = |failure| OpenError::File { path: database.path().to_path_buf(), failure };
        let connection = database.writer().map_err(unusable)?;
        let count = Count::begin(&connection).map_err(unusable)?;
        let inbox = Arc::new(Inbox::new(options.waiting_max, options.bytes_max));
        let worker = Worker {
            inbox: Arc::clone(&inbox),
            batch_max: options.batch_max,
            poll: BusyPoll::new(options.busy_poll),
            connection: Some(connection),
            count,
            database,
            journal,
            deliver,
        };
        let thread = std::thread::Builder::new().name(options.name.to_owned()).spawn(move || worker.run()).map_err(
            |source| OpenError::File {
                path: std::path::PathBuf::from(options.name),
                failure: Failure::new(Class::Io, source.to_string()),
            },
        )?;
        Ok(Self::handle(inbox, J::size, thread))
    }

    /// The handle of a thread that empties the inbox until it is closed.
    pub(crate) fn handle(inbox: Arc<Inbox<(T, C)>>, size: fn(&C) -> usize, thread: JoinHandle<()>) -> Self {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(Arc::clone(&inbox).relay());
        }
        Self { inbox, size, thread: Some(thread) }
    }

    /// Hands one command over.
    ///
    /// # Errors
    /// What was offered, when too much waits already or the writer is gone.
    pub fn submit(&self, tag: T, command: C) -> Result<(), Refused<Vec<(T, C)>>> {
        self.submit_all(vec![(tag, command)])
    }

    /// Hands several commands over, all or none.
    ///
    /// # Errors
    /// What was offered, when too much waits already or the writer is gone.
    pub fn submit_all(&self, commands: Vec<(T, C)>) -> Result<(), Refused<Vec<(T, C)>>> {
        let bytes = commands.iter().map(|(_, command)| (self.size)(command)).sum();
        self.inbox.put(commands, bytes)
    }

    /// Commands that wait for the next commit.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inbox.waiting()
    }
}

impl<T, C> Drop for Writer<T, C> {
    fn drop(&mut self) {
        self.inbox.close();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // Its panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

struct Worker<J: Journal, T, D> {
    inbox: Arc<Inbox<(T, J::Command)>>,
    batch_max: usize,
    poll: BusyPoll,
    /// Absent after an error that spoils it, until the next batch opens another.
    connection: Option<Connection>,
    count: Count,
    database: Database,
    journal: J,
    deliver: D,
}

impl<J: Journal, T, D: FnMut(Batch<T, J::Answer>)> Worker<J, T, D> {
    fn run(mut self) {
        // However the thread ends, nobody may wait for it in vain.
        let closing = CloseOnDrop(Arc::clone(&self.inbox));
        while let Some(mut pile) = self.inbox.take_polling(&mut self.poll) {
            while !pile.is_empty() {
                let rest = pile.split_off(pile.len().min(self.batch_max));
                let (tags, commands): (Vec<_>, Vec<_>) = pile.into_iter().unzip();
                pile = rest;
                let started = Instant::now();
                let answers = self.commit(&commands);
                (self.deliver)(Batch { answers: tags.into_iter().zip(answers).collect(), took: started.elapsed() });
            }
        }
        drop(closing);
    }

    fn commit(&mut self, commands: &[J::Command]) -> Vec<Result<J::Answer, Failure>> {
        match self.attempt(commands) {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            // One bad command must not take its neighbours along: find it.
            Err(failure) if failure.class() == Class::Statement && commands.len() > 1 => commands
                .iter()
                .map(|command| {
                    let mut answers = self.attempt(std::slice::from_ref(command))?;
                    Ok(answers.remove(0))
                })
                .collect(),
            Err(failure) => commands.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    fn attempt(&mut self, commands: &[J::Command]) -> Result<Vec<J::Answer>, Failure> {
        let outcome = self.transaction(commands);
        match &outcome {
            Ok(_) => self.count.stepped(),
            Err(failure) => {
                tracing::error!(error = %failure, commands = commands.len(), "a batch could not be stored");
                self.journal.rolled_back();
                if failure.spoils_connection() {
                    self.connection = None;
                }
            }
        }
        outcome
    }

    fn transaction(&mut self, commands: &[J::Command]) -> Result<Vec<J::Answer>, Failure> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            gone => gone.insert(self.database.writer()?),
        };
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.count.step(&tx)?;
        let answers = self.journal.apply(&tx, commands)?;
        assert_eq!(answers.len(), commands.len(), "one answer for each command");
        match self.journal.commit(tx).map_err(|error| Failure::from(error).while_committing()) {
            Ok(()) => Ok(answers),
            Err(failure) if failure.may_have_happened() && self.is_stored(&failure) => Ok(answers),
            Err(failure) => Err(failure),
        }
    }

    /// Whether a batch whose commit failed is stored all the same: nothing is decided, and nobody is answered, before the
    /// store has said so on a fresh connection. Only a writer that is closed gives up.
    fn is_stored(&mut self, failure: &Failure) -> bool {
        tracing::error!(error = %failure, "a commit is in doubt");
        loop {
            self.connection = None;
            let asked = self.database.writer().and_then(|fresh| {
                let stored = self.count.has_stepped(&fresh)?;
                self.connection = Some(fresh);
                Ok(stored)
            });
            match asked {
                Ok(stored) => {
                    tracing::info!(stored, "the store says what became of the commit");
                    return stored;
                }
                Err(failure) => tracing::error!(error = %failure, "whether the commit is stored cannot be said yet"),
            }
            if self.inbox.closes_within(HEALING) {
                return false;
            }
        }
    }
}
