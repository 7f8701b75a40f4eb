//! Group commit on PostgreSQL: one thread, one connection, one transaction for whatever has queued.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_resilience::BusyPoll;
use tokio::runtime::Runtime;

use super::session::Session;
use super::transaction::{Outcome, Transactions};
use super::{Ledger, Postgres, Trouble};
use crate::inbox::{CloseOnDrop, Inbox};
use crate::{Batch, Class, Failure, OpenError, Writer, WriterOptions};

/// How long until a server that could not say what became of a commit is asked again.
const HEALING: Duration = Duration::from_millis(100);
/// How often the log is told that it still cannot.
const TELLING: Duration = Duration::from_secs(10);
/// How often a batch is tried that others, or the end of its connection, came in between of.
const TRIES: u32 = 10;
/// What a try waits longer than the one before the last; the first is made again almost at once.
const PAUSE: Duration = Duration::from_millis(1);

impl<T: Send + 'static, C: Send + 'static> Writer<T, C> {
    /// Starts the thread of a store on PostgreSQL. `deliver` is called on it once for each batch, after the commit: hand the batch
    /// over in one message there, and return.
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
            poll: BusyPoll::new(options.busy_poll),
            inbox: Arc::clone(&inbox),
            transactions: Transactions::new(Session::new(database.options.clone()), ledger),
            doubt: None,
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
    !trouble.is_lost() && (matches!(trouble, Trouble::Again(_)) || trouble.failure().class() == Class::Statement)
}

/// A batch of which nobody knows yet whether it is stored.
struct Doubt<T, A> {
    batch: Batch<T, A>,
    since: Instant,
    /// When the server was asked last …
    asked: Instant,
    /// … and why it could not say it.
    failure: Failure,
    /// When the log was told last.
    told: Instant,
}

struct Worker<L: Ledger, T, D> {
    batch_max: usize,
    poll: BusyPoll,
    inbox: Arc<Inbox<(T, L::Command)>>,
    transactions: Transactions<L>,
    /// While there is one nothing else is stored: what comes then fails, so that nobody waits for the server.
    doubt: Option<Doubt<T, L::Answer>>,
    deliver: D,
}

impl<L: Ledger, T, D: FnMut(Batch<T, L::Answer>)> Worker<L, T, D> {
    fn run(mut self, runtime: &Runtime) {
        // However the thread ends, nobody may wait for it in vain.
        let closing = CloseOnDrop(Arc::clone(&self.inbox));
        while let Some(mut pile) = self.next() {
            self.resolve(runtime);
            while !pile.is_empty() {
                let rest = pile.split_off(pile.len().min(self.batch_max));
                let (tags, commands): (Vec<_>, Vec<_>) = pile.into_iter().unzip();
                pile = rest;
                self.batch(runtime, tags, &commands, !pile.is_empty());
            }
        }
        if let Some(Doubt { batch, since, failure, .. }) = self.doubt.take() {
            tracing::error!(error = %failure, commands = batch.answers.len(), "a commit stays in doubt");
            self.fail(batch.answers.into_iter().map(|(tag, _)| tag).collect(), &failure.in_doubt(), since);
        }
        runtime.block_on(self.transactions.close());
        drop(closing);
    }

    /// What waits, once something does; while there is a doubt also nothing, every now and then. None once it is closed and
    /// empty.
    fn next(&mut self) -> Option<Vec<(T, L::Command)>> {
        if self.doubt.is_some() { self.inbox.take_within(HEALING) } else { self.inbox.take_polling(&mut self.poll) }
    }

    /// Asks what became of the batch in doubt, if there is one and it was not asked just now.
    fn resolve(&mut self, runtime: &Runtime) {
        let Some(mut doubt) = self.doubt.take_if(|doubt| doubt.asked.elapsed() >= HEALING) else { return };
        match runtime.block_on(self.transactions.resolve()) {
            Ok(true) => {
                doubt.batch.took = doubt.since.elapsed();
                (self.deliver)(doubt.batch);
            }
            Ok(false) => {
                self.fail(doubt.batch.answers.into_iter().map(|(tag, _)| tag).collect(), &doubt.failure, doubt.since);
            }
            Err(failure) => {
                if doubt.told.elapsed() >= TELLING {
                    tracing::warn!(error = %failure, "whether a commit is stored cannot be said yet");
                    doubt.told = Instant::now();
                }
                self.doubt = Some(Doubt { failure, asked: Instant::now(), ..doubt });
            }
        }
    }

    fn batch(&mut self, runtime: &Runtime, tags: Vec<T>, commands: &[L::Command], more: bool) {
        let since = Instant::now();
        let outcome = match &self.doubt {
            Some(doubt) => Outcome::Undone(doubt.failure.clone().into()),
            None => runtime.block_on(self.attempts(commands, more)),
        };
        let answers: Vec<_> = match outcome {
            Outcome::Stored(answers) => tags.into_iter().zip(answers.into_iter().map(Ok)).collect(),
            // One bad command must not take its neighbours along, nor one that never gets through: find it.
            Outcome::Undone(trouble) if is_of_one(&trouble) && commands.len() > 1 => {
                let mut rest = tags.into_iter().zip(commands);
                while self.doubt.is_none()
                    && let Some((tag, command)) = rest.next()
                {
                    self.batch(runtime, vec![tag], std::slice::from_ref(command), false);
                }
                if let Some(failure) = self.doubt.as_ref().map(|doubt| doubt.failure.clone()) {
                    self.fail(rest.map(|(tag, _)| tag).collect(), &failure, since);
                }
                return;
            }
            Outcome::Undone(trouble) => return self.fail(tags, trouble.failure(), since),
            Outcome::Doubt(answers, failure) => {
                tracing::error!(error = %failure, commands = commands.len(), "nobody can say whether a commit is stored");
                let batch = Batch {
                    answers: tags.into_iter().zip(answers.into_iter().map(Ok)).collect(),
                    took: since.elapsed(),
                };
                let asked = Instant::now();
                self.doubt = Some(Doubt { batch, since, asked, failure, told: asked });
                return;
            }
        };
        (self.deliver)(Batch { answers, took: since.elapsed() });
    }

    fn fail(&mut self, tags: Vec<T>, failure: &Failure, since: Instant) {
        if !tags.is_empty() {
            let answers = tags.into_iter().map(|tag| (tag, Err(failure.clone()))).collect();
            (self.deliver)(Batch { answers, took: since.elapsed() });
        }
    }

    async fn attempts(&mut self, commands: &[L::Command], more: bool) -> Outcome<L::Answer> {
        let mut tries = 1;
        loop {
            // More may have come since the batch was taken.
            let more = || more || self.inbox.waiting() > 0;
            let trouble = match self.transactions.run(commands, more).await {
                Outcome::Undone(trouble) => trouble,
                outcome => return outcome,
            };
            let failure = trouble.failure().clone();
            if matches!(trouble, Trouble::Again(_)) && tries < TRIES {
                tracing::debug!(error = %failure, "a batch is tried again");
                tries += 1;
                // Whoever it met may need a moment.
                tokio::time::sleep(PAUSE * (tries / 2)).await;
                continue;
            }
            tracing::error!(error = %failure, commands = commands.len(), "a batch could not be stored");
            return Outcome::Undone(trouble);
        }
    }
}
