//! A statement put together from parts, each with its own arguments.

use std::borrow::Cow;
use std::fmt::Write;

use holdfast_storage::Witness;
use sqlx::encode::Encode;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, Postgres, Type};

use super::super::super::WriterId;

#[derive(Default)]
pub(super) struct Statement {
    sql: String,
    arguments: PgArguments,
    parts: usize,
    bound: usize,
    /// Rows that the part of that name must change.
    expected: Option<usize>,
}

/// The name of the part whose rows are counted.
const COUNTED: &str = "counted";

/// A part whose arguments are still to come: each stands for the next `?` in its text.
pub(super) struct Part<'a> {
    statement: &'a mut Statement,
    rest: &'static str,
}

impl Statement {
    /// Adds a part.
    pub(super) fn part(&mut self, text: &'static str) -> Part<'_> {
        let name = format!("part{}", self.parts + 1);
        self.named(&name, text)
    }

    /// Adds a part that a later one names.
    pub(super) fn named(&mut self, name: &str, text: &'static str) -> Part<'_> {
        let comma = if self.parts == 0 { "WITH" } else { "," };
        self.parts += 1;
        let _ = write!(self.sql, "{comma} {name} AS (");
        Part { statement: self, rest: text.trim_end() }
    }

    /// Adds the one part that must change so many rows, each of which it returns.
    pub(super) fn counted(&mut self, text: &'static str, expected: usize) -> Part<'_> {
        self.expected = Some(expected);
        self.named(COUNTED, text)
    }

    /// The whole, which answers with its transaction's number; none without parts. It divides by zero where the writer's process
    /// is not known any more, or what is counted did not change as many rows as it must. The process's row stays locked until
    /// the end, so that nobody forgets it while it writes.
    pub(super) fn finish(mut self, writer: WriterId, witness: Witness) -> Option<(String, PgArguments)> {
        if self.parts == 0 {
            return None;
        }
        self.part(Witness::LEAVE).bind(witness.writer).bind(witness.number);
        self.named("known", "SELECT FROM processes WHERE writer = ? AND NOT is_buried FOR KEY SHARE").bind(writer);
        self.sql.push_str(" SELECT pg_current_xact_id()::text, 1 / (EXISTS (SELECT FROM known)");
        if let Some(expected) = self.expected {
            self.bound += 1;
            let _ = write!(self.sql, " AND (SELECT count(*) FROM {COUNTED}) = ${}::bigint", self.bound);
            self.arguments.add(expected as i64).expect("a number can be encoded");
        }
        self.sql.push_str(")::integer");
        Some((self.sql, self.arguments))
    }
}

impl Part<'_> {
    pub(super) fn bind<'t, A: Encode<'t, Postgres> + Type<Postgres>>(&mut self, argument: A) -> &mut Self {
        let (before, after) = self.rest.split_once('?').expect("a part has a place for each argument");
        self.rest = after;
        self.statement.bound += 1;
        let _ = write!(self.statement.sql, "{before}${}", self.statement.bound);
        self.statement.arguments.add(argument).expect("arrays of plain values can be encoded");
        self
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        debug_assert!(!self.rest.contains('?'), "an argument is missing before {}", self.rest);
        self.statement.sql.push_str(self.rest);
        self.statement.sql.push(')');
    }
}

/// Text as PostgreSQL takes it: what workers say may hold the one character that it does not.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
