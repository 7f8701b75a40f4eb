//! One batch in one transaction, on the writer's own connection: stored at once by what is known, or in steps.

use std::time::Duration;

use tokio::time::timeout;

use super::doubt::{Witness, is_stored};
use super::session::Session;
use super::{Applied, Decided, Ledger, Trouble, Wrote};
use crate::{Class, Failure};

/// How long a transaction may take: past it, the connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server may take that is asked what became of one: others wait meanwhile.
const ASK_WITHIN: Duration = Duration::from_secs(2);

/// What became of a batch.
pub(super) enum Outcome<A> {
    /// It is stored.
    Stored(Vec<A>),
    /// Nothing of it is.
    Undone(Trouble),
    /// The answer was lost, and the server cannot say it now: these hold if it is stored. Nothing may follow before
    /// [`Transactions::resolve`] has said so.
    Doubt(Vec<A>, Failure),
}

/// Transactions, one after another.
pub(super) struct Transactions<L> {
    session: Session,
    ledger: L,
    /// Of the last transaction that was tried.
    witness: Witness,
}

impl<L: Ledger> Transactions<L> {
    pub(super) fn new(session: Session, ledger: L) -> Self {
        Self { session, ledger, witness: Witness::new() }
    }

    /// Stores a batch, or nothing of it. Where `more` waits to be stored right after it, the next transaction may begin on the
    /// way.
    pub(super) async fn run(&mut self, commands: &[L::Command], more: impl FnOnce() -> bool) -> Outcome<L::Answer> {
        let outcome = self.attempt(commands, more).await.unwrap_or_else(Outcome::Undone);
        match outcome {
            Outcome::Stored(_) => self.ledger.committed(),
            Outcome::Undone(_) => self.ledger.rolled_back(),
            Outcome::Doubt(..) => {}
        }
        outcome
    }

    /// Asks whether the batch that was in doubt is stored.
    pub(super) async fn resolve(&mut self) -> Result<bool, Failure> {
        let stored = self.ask().await?;
        if stored {
            self.ledger.committed();
        } else {
            self.ledger.rolled_back();
        }
        Ok(stored)
    }

    pub(super) async fn close(&mut self) {
        self.session.close().await;
    }

    async fn attempt(
        &mut self,
        commands: &[L::Command],
        more: impl FnOnce() -> bool,
    ) -> Result<Outcome<L::Answer>, Trouble> {
        if !self.session.is_trusted() {
            self.begin().await?;
        }
        self.witness.number += 1;
        match self.ledger.decide(commands, self.witness) {
            Some(Ok(decided)) => self.at_once(decided, commands.len()).await,
            Some(Err(trouble)) => {
                self.roll_back().await;
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

    async fn at_once(&mut self, decided: Decided<L::Answer>, commands: usize) -> Result<Outcome<L::Answer>, Trouble> {
        let Decided { answers, statement } = decided;
        assert_eq!(answers.len(), commands, "one answer for each command");
        let Some(statement) = statement else {
            self.roll_back().await;
            return Ok(Outcome::Stored(answers));
        };
        let trouble = match timeout(PATIENCE, self.session.store(statement)).await {
            Ok(Ok(row)) => {
                self.ledger.answered(&row);
                return Ok(Outcome::Stored(answers));
            }
            Ok(Err(error)) => Trouble::from(error),
            Err(_) => silent().into(),
        };
        if trouble.is_lost() {
            return self.doubt(answers, trouble).await;
        }
        self.undo(&trouble).await;
        // It may have met what others left meanwhile: what is read says so, or who is at fault.
        Err(trouble.again_if(Class::Statement))
    }

    async fn in_steps(
        &mut self,
        commands: &[L::Command],
        more: impl FnOnce() -> bool,
    ) -> Result<Outcome<L::Answer>, Trouble> {
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
                return Err(trouble.again_if(Class::Io));
            }
        };
        assert_eq!(answers.len(), commands.len(), "one answer for each command");
        let witness = (wrote == Wrote::Rows).then_some(self.witness);
        let trouble = match timeout(PATIENCE, self.session.commit(witness, more())).await {
            Ok(Ok(())) => return Ok(Outcome::Stored(answers)),
            Ok(Err(error)) => Trouble::from(error),
            Err(_) => silent().into(),
        };
        match wrote {
            // What was found is true, and nothing had to be stored.
            Wrote::Nothing => {
                self.session.forget();
                Ok(Outcome::Stored(answers))
            }
            Wrote::Rows | Wrote::RowsAndWitness if trouble.is_lost() => self.doubt(answers, trouble).await,
            Wrote::Rows | Wrote::RowsAndWitness => {
                self.session.forget();
                Err(trouble)
            }
        }
    }

    /// Undoes what the server has not stored, and may not have heard.
    async fn undo(&mut self, trouble: &Trouble) {
        if trouble.failure().spoils_connection() || trouble.failure().class() == Class::Silent {
            self.session.forget();
        } else {
            self.roll_back().await;
        }
    }

    async fn roll_back(&mut self) {
        if timeout(PATIENCE, self.session.roll_back()).await.is_err() {
            self.session.forget();
        }
    }

    /// What became of a transaction whose answer was lost. It may be that only the connection was: then it is known right away.
    async fn doubt(&mut self, answers: Vec<L::Answer>, trouble: Trouble) -> Result<Outcome<L::Answer>, Trouble> {
        let failure = Failure::from(trouble);
        tracing::error!(error = %failure, "a commit is in doubt");
        self.session.forget();
        match self.ask().await {
            Ok(true) => Ok(Outcome::Stored(answers)),
            // What took long already is not begun anew.
            Ok(false) => Err(Trouble::from(failure).again_if(Class::Io)),
            Err(failure) => Ok(Outcome::Doubt(answers, failure)),
        }
    }

    async fn ask(&mut self) -> Result<bool, Failure> {
        let asked = async { is_stored(self.session.connection().await?, self.witness).await };
        let stored = timeout(ASK_WITHIN, asked).await.unwrap_or_else(|_| Err(silent()));
        match &stored {
            Ok(stored) => tracing::info!(stored, "the server says what became of the commit"),
            Err(failure) if failure.class() == Class::Busy => {}
            Err(_) => self.session.forget(),
        }
        // Whatever the reason, nobody can be served: it is the store that is in trouble, and not what is asked of it.
        stored
            .map_err(|failure| if failure.is_outage() { failure } else { Failure::new(Class::Io, failure.to_string()) })
    }
}

async fn within_patience<A>(work: impl Future<Output = Result<A, Failure>>) -> Result<A, Failure> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> Failure {
    Failure::new(Class::Silent, "the database does not answer")
}
