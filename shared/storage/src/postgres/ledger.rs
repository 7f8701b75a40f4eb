//! What a writer asks of its store on PostgreSQL.

use sqlx::PgConnection;
use sqlx::postgres::{PgArguments, PgRow};

use super::{Trouble, Witness};

/// What a store does with a batch of commands.
pub trait Ledger: Send + 'static {
    /// What is asked.
    type Command: Send + 'static;
    /// What became of it. Refusals that are no fault of the database belong in here.
    type Answer: Send + 'static;

    /// Decides the commands by what is known without being read, as [`apply`](Self::apply) would, where one statement stores
    /// what they come to: it is a transaction of its own then, one way to the server and back. None where more must be asked.
    ///
    /// The statement leaves the witness ([`Witness::LEAVE`]). It proves what was decided by, and divides by zero where that is
    /// not so any more: then, or where the server refuses it for what it says, the batch is tried again, after
    /// [`rolled_back`](Self::rolled_back).
    ///
    /// # Errors
    /// Why it cannot be decided, and whether another try may pass.
    fn decide(
        &mut self,
        _commands: &[Self::Command],
        _witness: Witness,
    ) -> Option<Result<Decided<Self::Answer>, Trouble>> {
        None
    }

    /// What a decided batch's statement answered with, before [`committed`](Self::committed). Nothing is told here where the
    /// answer was lost.
    fn answered(&mut self, _row: &PgRow) {}

    /// Applies the commands in their order within the transaction, one answer each. An error undoes all of them; what
    /// the server says must not be hidden, for it commits nothing after an error. Who leaves the witness in a statement of
    /// its own ([`Witness::LEAVE`]) spares the transaction another one.
    ///
    /// # Errors
    /// What PostgreSQL says, and whether another try may pass.
    fn apply(
        &mut self,
        tx: &mut PgConnection,
        commands: &[Self::Command],
        witness: Witness,
    ) -> impl Future<Output = Result<Applied<Self::Answer>, Trouble>>;

    /// Bytes that a command takes while it waits, roughly.
    fn size(_command: &Self::Command) -> usize {
        0
    }

    /// What was applied last is stored.
    fn committed(&mut self) {}

    /// It is not; or what follows goes to another connection: what is known of rows may not be so there.
    fn rolled_back(&mut self) {}
}

/// What a ledger decided of a batch without asking.
#[derive(Debug)]
pub struct Decided<A> {
    /// One for each command.
    pub answers: Vec<A>,
    /// What stores it and answers with one row; none where nothing is to be stored.
    pub statement: Option<(String, PgArguments)>,
}

/// What a ledger made of a batch.
#[derive(Debug)]
pub struct Applied<A> {
    /// One for each command.
    pub answers: Vec<A>,
    /// What there is for a commit to store.
    pub wrote: Wrote,
}

/// What a transaction has written before its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    /// Nothing.
    Nothing,
    /// Something; the witness is left for the commit to leave.
    Rows,
    /// The same, and the witness.
    RowsAndWitness,
}
