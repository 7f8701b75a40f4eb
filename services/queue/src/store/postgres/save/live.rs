//! Rows of `live`, where they stand, and their sessions.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::rows::LiveRow;
use super::super::set::{Entry, Set, ready_at};
use super::statement::{Part, Statement, plain};
use crate::domain::invocation::{Lease, Status};
use crate::domain::record::Phase;

pub(in super::super) const DELETE_REMEMBERED: &str = include_str!("../delete_remembered.sql");

/// Stores every changed row, and moves it to where it stands now.
pub(super) fn entries(statement: &mut Statement, set: &Set) {
    let (mut new, mut kept, mut gone, mut unread) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut ready, mut unready) = (Vec::new(), Vec::new());
    let (mut delayed, mut undelayed) = (Vec::new(), Vec::new());
    for (id, Entry { stored, row, is_changed }) in &set.entries {
        if !is_changed {
            continue;
        }
        match (stored, row) {
            (None, Some(row)) => new.push(row),
            (Some(_), Some(row)) => kept.push(row),
            (Some(stored), None) => match stored.remembered {
                Some(by) => unread.push((*id, by)),
                None => gone.push(*id),
            },
            // Accepted and ended in one batch.
            (None, None) => {}
        }
        let (was, is) = (stored.and_then(|stored| stored.ready), row.as_ref().and_then(|row| row.ready));
        if was != is {
            unready.extend(was);
            ready.extend(row.as_ref().filter(|_| is.is_some()));
        }
        let (was, is) = (stored.and_then(|stored| stored.delayed), row.as_ref().and_then(|row| row.delayed));
        if was != is {
            undelayed.extend(was.map(|at| (at, *id)));
            delayed.extend(is.map(|at| (at, *id)));
        }
    }
    unready.extend(&set.news.stale);
    if !new.is_empty() {
        insert(statement, &new);
    }
    if !kept.is_empty() {
        let mut part = statement.part(include_str!("../update_live.sql"));
        changing(&mut part, &kept);
    }
    if !gone.is_empty() {
        statement.part("DELETE FROM live WHERE id = ANY (?::uuid[])").bind(gone);
    }
    if !unread.is_empty() {
        // In the order in which whoever reads them locks them.
        unread.sort_unstable();
        statement
            .counted(DELETE_REMEMBERED, unread.len())
            .bind(column(&unread, |(id, _)| *id))
            .bind(numbers_in_rows(unread.iter().map(|(_, by)| *by)));
    }
    if !ready.is_empty() {
        make_ready(statement, &mut ready);
    }
    if !unready.is_empty() {
        statement
            .part(include_str!("../delete_ready.sql"))
            .bind(column(&unready, |key| key.writer))
            .bind(column(&unready, |key| key.rank));
    }
    for (moved, text) in
        [(delayed, include_str!("../insert_delayed.sql")), (undelayed, include_str!("../delete_delayed.sql"))]
    {
        if !moved.is_empty() {
            statement.part(text).bind(column(&moved, |(at, _)| *at)).bind(column(&moved, |(_, id)| *id));
        }
    }
}

/// Each of these transactions once, as rows name them: by the lower half of the number, in a type that `xid` compares with.
fn numbers_in_rows(transactions: impl Iterator<Item = u64>) -> Vec<i32> {
    let distinct: BTreeSet<u64> = transactions.collect();
    distinct.into_iter().map(|number| number as i32).collect()
}

fn insert(statement: &mut Statement, new: &[&LiveRow]) {
    let mut part = statement.part(include_str!("../insert_live.sql"));
    changing(&mut part, new);
    part.bind(column(new, |row| row.facts.accepted_at))
        .bind(column(new, |row| row.facts.bytes as i64))
        .bind(column(new, |row| row.at.deadline))
        .bind(column(new, |row| row.at.place.map(|place| place.session)))
        .bind(column(new, |row| row.at.place.map(|place| place.order)))
        .bind(column(new, |row| row.facts.awaited_by))
        .bind(column(new, |row| row.facts.priority))
        .bind(column(new, |row| row.live.redrives as i32))
        .bind(column(new, |row| &*row.facts.tenant))
        .bind(column(new, |row| &*row.facts.agent))
        .bind(column(new, |row| row.facts.session.as_deref()));
}

/// The id, and what changes of a row.
fn changing(part: &mut Part<'_>, rows: &[&LiveRow]) {
    let queued_until = |row: &&LiveRow| match row.live.phase {
        Phase::Queued { next_at } => next_at,
        Phase::Leased(_) => None,
    };
    let state = |row: &&LiveRow| match row.live.phase {
        Phase::Queued { .. } => Status::Queued.number() as i32,
        Phase::Leased(_) => Status::Leased.number() as i32,
    };
    part.bind(column(rows, |row| row.at.id))
        .bind(column(rows, state))
        .bind(column(rows, |row| row.live.attempt as i32))
        .bind(column(rows, |row| row.live.lost as i32))
        .bind(column(rows, |row| row.live.tries as i32))
        .bind(column(rows, |row| row.live.events as i64))
        .bind(column(rows, |row| row.live.fence as i64))
        .bind(column(rows, |row| row.live.loose_fence.map(|fence| fence as i64)))
        .bind(column(rows, |row| row.live.started_at))
        .bind(column(rows, queued_until))
        .bind(column(rows, |row| row.ready.map(|key| key.writer)))
        .bind(column(rows, |row| row.ready.map(|key| key.rank)))
        .bind(column(rows, |row| row.at.keeper))
        .bind(leased(rows, |lease| lease.at))
        .bind(leased(rows, |lease| lease.event as i64))
        .bind(leased(rows, |lease| lease.id))
        .bind(column(rows, |row| row.live.lease().and_then(|lease| lease.stream)))
        .bind(column(rows, |row| row.live.lease().map(|lease| plain(&lease.worker))));
}

fn leased<A>(rows: &[&LiveRow], read: impl Fn(&Lease) -> A) -> Vec<Option<A>> {
    rows.iter().map(|row| row.live.lease().map(&read)).collect()
}

fn make_ready(statement: &mut Statement, ready: &mut [&LiveRow]) {
    ready.sort_by_key(|row| row.ready.map(|key| key.rank));
    statement
        .part(include_str!("../insert_ready.sql"))
        .bind(column(ready, |row| row.ready.map(|key| key.writer)))
        .bind(column(ready, |row| row.ready.map(|key| key.rank)))
        .bind(column(ready, |row| row.at.id))
        .bind(column(ready, |row| ready_at(row)))
        .bind(column(ready, |row| row.facts.accepted_at))
        .bind(column(ready, |row| row.facts.bytes as i64))
        .bind(column(ready, |row| row.facts.priority))
        .bind(column(ready, |row| &*row.facts.agent))
        .bind(column(ready, |row| &*row.facts.tenant));
}

/// Stores every changed session, and who runs in it.
pub(super) fn sessions(statement: &mut Statement, set: &Set) {
    let changed: Vec<_> = set.sessions.iter().filter(|(_, session)| session.is_changed).collect();
    if !changed.is_empty() {
        statement
            .part(include_str!("../update_sessions.sql"))
            .bind(column(&changed, |(number, _)| **number))
            .bind(column(&changed, |(_, session)| session.next_order))
            .bind(column(&changed, |(_, session)| session.head))
            .bind(column(&changed, |(_, session)| session.fence as i64));
    }
    let (mut began, mut passed, mut over) = (Vec::<(i64, Uuid)>::new(), Vec::<(i64, Uuid)>::new(), Vec::<i64>::new());
    for (number, session) in &set.sessions {
        match (session.held_before, session.holder) {
            (None, Some(id)) => began.push((*number, id)),
            (Some(before), Some(id)) if before != id => passed.push((*number, id)),
            (Some(_), None) => over.push(*number),
            _ => {}
        }
    }
    for (held, text) in
        [(began, include_str!("../insert_session_leases.sql")), (passed, include_str!("../update_session_leases.sql"))]
    {
        if !held.is_empty() {
            statement.part(text).bind(column(&held, |(number, _)| *number)).bind(column(&held, |(_, id)| *id));
        }
    }
    if !over.is_empty() {
        statement.part("DELETE FROM session_leases WHERE session = ANY (?::bigint[])").bind(over);
    }
}

/// One column of rows.
pub(super) fn column<'a, R, A>(rows: &'a [R], read: impl Fn(&'a R) -> A) -> Vec<A> {
    rows.iter().map(read).collect()
}
