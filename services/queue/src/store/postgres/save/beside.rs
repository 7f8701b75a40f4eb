//! What stands beside invocations: reports, notes, the outbox, keys.

use uuid::Uuid;

use super::super::super::Note;
use super::super::set::{News, Told};
use super::live::column;
use super::statement::{Statement, plain};
use crate::domain::event::Report;

/// The numbers of notes.
pub(in super::super) const ENDED: i32 = 1;
/// See [`ENDED`].
pub(in super::super) const LEASE_OVER: i32 = 2;

pub(super) fn store(statement: &mut Statement, news: &News) {
    if !news.told.is_empty() {
        reports(statement, &news.told);
    }
    if !news.notes.is_empty() {
        notes(statement, news);
    }
    let raises = &news.raises;
    if !raises.is_empty() {
        statement
            .part(include_str!("../insert_raises.sql"))
            .bind(column(raises, |raise| &*raise.tenant))
            .bind(column(raises, |raise| raise.session.as_deref()))
            .bind(column(raises, |raise| raise.invocation))
            .bind(column(raises, |raise| raise.fence as i64));
    }
    if !news.raises_told.is_empty() {
        statement.part("DELETE FROM fence_raises WHERE raise = ANY (?::bigint[])").bind(news.raises_told.clone());
    }
    let keys = &news.keys_taken;
    if !keys.is_empty() {
        statement
            .part(include_str!("../update_keys.sql"))
            .bind(column(keys, |(key, _)| &*key.tenant))
            .bind(column(keys, |(key, _)| &*key.agent))
            .bind(column(keys, |(key, _)| &*key.key))
            .bind(column(keys, |(_, keyed)| keyed.id))
            .bind(column(keys, |(_, keyed)| &keyed.digest[..]));
    }
}

fn reports(statement: &mut Statement, told: &[Told]) {
    let message = |told: &'_ Told| match &told.report {
        Report::Progress { message, .. } => Some(plain(message).into_owned()),
        Report::Chunk { .. } => None,
    };
    let fraction = |told: &Told| match &told.report {
        Report::Progress { fraction, .. } => *fraction,
        Report::Chunk { .. } => None,
    };
    let attempt = |told: &Told| match &told.report {
        Report::Progress { .. } => None,
        Report::Chunk { attempt, .. } => Some(*attempt as i32),
    };
    let chunk = |told: &Told| match &told.report {
        Report::Progress { .. } => None,
        Report::Chunk { data, .. } => Some(data.to_vec()),
    };
    statement
        .part(include_str!("../insert_reports.sql"))
        .bind(column(told, |told| told.id))
        .bind(column(told, |told| told.event as i64))
        .bind(column(told, |told| told.at))
        .bind(column(told, |told| told.report.size() as i64))
        .bind(column(told, fraction))
        .bind(column(told, attempt))
        .bind(column(told, message))
        .bind(column(told, chunk));
}

fn notes(statement: &mut Statement, news: &News) {
    let parts = |note: &Note| -> (i32, Uuid, Option<Uuid>, Option<String>) {
        match note {
            Note::Ended(id) => (ENDED, *id, None, None),
            Note::LeaseOver { id, lease, reason } => (LEASE_OVER, *id, Some(*lease), reason.clone()),
        }
    };
    let notes: Vec<_> = news.notes.iter().map(|(writer, note)| (*writer, parts(note))).collect();
    statement
        .part(include_str!("../insert_notes.sql"))
        .bind(column(&notes, |(writer, _)| *writer))
        .bind(column(&notes, |(_, note)| note.0))
        .bind(column(&notes, |(_, note)| note.1))
        .bind(column(&notes, |(_, note)| note.2))
        .bind(column(&notes, |(_, note)| note.3.as_deref()));
}
