//! One batch in one transaction, on the writer's own connection: stored at once by what is known, or in steps.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::doubt::{Witness, is_stored};
use super::session::Session;
use super::{Applied, Decided, Ledger, Trouble, Wrote};
use crate::inbox::Inbox;
use crate::{Class, Failure};

/// How long a transaction may take: past it, the connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long until a server that could not say what became of a commit is asked again.
const HEALING: Duration = Duration::from_millis(100);

/// Transactions, one after another.
pub(super) struct Transactions<L: Ledger, T> {
    pub(super) inbox: Arc<Inbox<(T, L::Command)>>,
    pub(super) session: Session,
    pub(super) ledger: L,
    /// Of the last transaction that was tried.
    witness: Witness,
}

impl<L: Ledger, T> Transactions<L, T> {
    pub(super) fn new(inbox: Arc<Inbox<(T, L::Command)>>, session: Session, ledger: L) -> Self {
        Self { inbox, session, ledger, witness: Witness::new() }
    }

    /// Stores a batch, or nothing of it. `more` waits to be stored right after it.
    pub(super) async fn run(&mut self, commands: &[L::Command], more: bool) -> Result<Vec<L::Answer>, Trouble> {
        let outcome = self.attempt(commands, more).await;
        match &outcome {
            Ok(answers) => {
                assert_eq!(answers.len(), commands.len(), "one answer for each command");
                self.ledger.committed();
            }
            Err(_) => self.ledger.rolled_back(),
        }
        outcome
    }

    async fn attempt(&mut self, commands: &[L::Command], more: bool) -> Result<Vec<L::Answer>, Trouble> {
        if !self.session.is_trusted() {
            self.begin().await?;
        }
        self.witness.number += 1;
        match self.ledger.decide(commands, self.witness) {
            Some(Ok(decided)) => self.at_once(decided).await,
            Some(Err(trouble)) => {
                self.session.roll_back().await;
                Err(trouble)
            }
            None => {
                self.begin().await?;
                self.in_steps(commands, more).await
            }
        }
    }

    /// Begins a transaction, where none has begun.
    async fn begin(&mut self) -> Result<(), Failure> {
        within_patience(self.session.begin()).await.inspect_err(|_| self.session.forget())?;
        if self.session.is_new() {
            // What was served by the connection before may still hold the witness's row, or be of another server.
            self.witness = Witness::new();
            self.ledger.rolled_back();
        }
        Ok(())
    }

    async fn at_once(&mut self, decided: Decided<L::Answer>) -> Result<Vec<L::Answer>, Trouble> {
        let Some(statement) = decided.statement else {
            self.session.roll_back().await;
            return Ok(decided.answers);
        };
        let trouble = match timeout(PATIENCE, self.session.store(statement)).await {
            Ok(Ok(row)) => {
                self.ledger.answered(&row);
                return Ok(decided.answers);
            }
            Ok(Err(error)) => Trouble::from(error),
            Err(_) => silent().into(),
        };
        if is_lost(&trouble) {
            return self.in_doubt(decided.answers, trouble).await;
        }
        self.undo(&trouble).await;
        match trouble {
            // It may have met what others left meanwhile: what is read says so, or who is at fault.
            Trouble::Failed(failure) if failure.class() == Class::Statement => Err(Trouble::Again(failure)),
            trouble => Err(trouble),
        }
    }

    async fn in_steps(&mut self, commands: &[L::Command], more: bool) -> Result<Vec<L::Answer>, Trouble> {
        self.witness.number += 1;
        let tx = self.session.connection().await?;
        let applied = match timeout(PATIENCE, self.ledger.apply(tx, commands, self.witness)).await {
            Ok(applied) => applied,
            Err(_) => Err(silent().into()),
        };
        let Applied { answers, wrote } = match applied {
            Ok(applied) => applied,
            Err(trouble) => {
                self.undo(&trouble).await;
                return Err(trouble);
            }
        };
        // More may have come since the batch was taken.
        let more = more || self.inbox.waiting() > 0;
        let witness = (wrote == Wrote::Rows).then_some(self.witness);
        let trouble = match timeout(PATIENCE, self.session.commit(witness, more)).await {
            Ok(Ok(())) => return Ok(answers),
            Ok(Err(error)) => Trouble::from(error),
            Err(_) => silent().into(),
        };
        self.session.forget();
        match wrote {
            // What was found is true, and nothing had to be stored.
            Wrote::Nothing => Ok(answers),
            Wrote::Rows | Wrote::RowsAndWitness if is_lost(&trouble) => self.in_doubt(answers, trouble).await,
            Wrote::Rows | Wrote::RowsAndWitness => Err(trouble),
        }
    }

    /// Undoes what the server has not stored, and may not have heard.
    async fn undo(&mut self, trouble: &Trouble) {
        if trouble.failure().spoils_connection() || trouble.failure().class() == Class::Silent {
            self.session.forget();
        } else {
            self.session.roll_back().await;
        }
    }

    /// What became of a transaction whose answer was lost.
    async fn in_doubt(&mut self, answers: Vec<L::Answer>, trouble: Trouble) -> Result<Vec<L::Answer>, Trouble> {
        self.session.forget();
        match self.is_stored(trouble.failure()).await {
            Some(true) => Ok(answers),
            Some(false) => Err(trouble),
            None => Err(trouble.failure().clone().in_doubt().into()),
        }
    }

    /// Nothing is decided, and nobody is answered, before the server has said whether it is stored. Only a writer that is
    /// closed gives up.
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

/// Whether the server may have done what it was asked.
fn is_lost(trouble: &Trouble) -> bool {
    matches!(trouble.failure().class(), Class::Io | Class::Silent)
}

async fn within_patience<A>(work: impl Future<Output = Result<A, Failure>>) -> Result<A, Failure> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> Failure {
    Failure::new(Class::Silent, "the database does not answer")
}
