//! What a batch's commands touch, locked and loaded in a few statements.
//!
//! Locks are taken in one order, so that no two processes wait for each other: idempotency keys; invocations without a
//! session, by id; ends to be redriven, by id; sessions, by number. (Should two still meet, the server says so and the
//! writer tries again.)
//!
//! - An invocation without a session is guarded by its own row's lock. FOR UPDATE waits for whoever holds it and reads
//!   what that one left; a row that was deleted meanwhile is not found, and its end is looked for afterwards, by a
//!   statement of its own, which sees it.
//! - A member is guarded by its session's row, which everybody locks who adds a member, ends one or changes how one
//!   stands. Members are read after the lock was taken, by a later statement: at READ COMMITTED it sees whatever the lock's
//!   holders before committed. So the head's end and an acceptance come one after the other: either the acceptance sees
//!   the head gone and is the head itself, or the end sees the new member and promotes it. The same holds for the
//!   cancelling of a follower against its promotion, and for neighbours that end at two processes.
//!
//! What this process has left itself need not be read: see [`Remembered`]. Such rows are locked by the statement that removes
//! them, after keys and with no others. Where nothing else is named but what is new, nothing is asked at all: see [`known`].

mod keys;
mod over;

use std::collections::{HashMap, HashSet};

use holdfast_storage::Trouble;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

pub(super) use self::over::{past_ends, tries};
use super::super::{Change, Command};
use super::remembered::Remembered;
use super::rows;
use super::set::{Counters, Entry, Session, Set, session_number};

pub(super) const LONE_ROWS: &str = include_str!("lone_rows.sql");
pub(super) const READ_KEYS: &str = include_str!("read_keys.sql");
pub(super) const LOAD_MEMBERS: &str = include_str!("load_members.sql");

/// What the commands of a batch name.
#[derive(Debug, Default)]
struct Wanted {
    /// Invocations that the batch does not accept itself.
    ids: HashSet<Uuid>,
    redriven: HashSet<Uuid>,
    with_input: HashSet<Uuid>,
    with_retry: HashSet<Uuid>,
    sessions: HashSet<i64>,
    /// The lease that is to be completed first, of those that have one.
    completed: HashMap<Uuid, Uuid>,
}

impl Wanted {
    fn of(commands: &[Command]) -> Self {
        let mut wanted = Self::default();
        let mut new = HashSet::new();
        for command in commands {
            match command {
                Command::Accept(accept) => {
                    let accepted = &accept.accepted;
                    new.insert(accepted.id);
                    let number = |name: &String| session_number(&accepted.tenant, name);
                    wanted.sessions.extend(accepted.session.as_ref().map(number));
                }
                Command::Claim(claim) => {
                    wanted.ids.insert(claim.id);
                    if claim.with_input {
                        wanted.with_input.insert(claim.id);
                    }
                }
                Command::Settle(settle) => {
                    if let Change::Complete { lease, .. } = settle.change {
                        wanted.completed.entry(settle.id).or_insert(lease);
                    }
                    wanted.ids.insert(settle.id);
                    if matches!(settle.change, Change::Fail { .. }) {
                        wanted.with_retry.insert(settle.id);
                    }
                }
                Command::Adopt(adopt) => drop(wanted.ids.insert(adopt.id)),
                Command::Tell(tell) => drop(wanted.ids.insert(tell.id)),
                Command::Promote(ids) => wanted.ids.extend(ids),
                Command::Redrive(redrive) => {
                    wanted.ids.insert(redrive.id);
                    wanted.redriven.insert(redrive.id);
                }
                Command::ForgetRaises(_) | Command::Discard(_) => {}
            }
        }
        wanted.ids.retain(|id| !new.contains(id));
        wanted.completed.retain(|id, _| !new.contains(id));
        wanted
    }

    /// Its invocations, where it is for nothing but to complete them and all are known: then none is read.
    fn remembered(&self, remembered: &Remembered) -> Option<HashMap<Uuid, Entry>> {
        let is_all = self.ids.len() == self.completed.len();
        let is_plain = is_all && self.sessions.is_empty() && self.with_retry.is_empty();
        if is_plain { remembered.all(&self.completed) } else { None }
    }
}

/// What the commands touch, where it is known without being read: what is new and has neither a key nor a session, and what is
/// remembered and was not tried before.
pub(super) fn known(counters: Counters, remembered: &Remembered, commands: &[Command]) -> Option<Set> {
    let is_bound = |command: &Command| match command {
        Command::Accept(accept) => accept.accepted.idempotency_key.is_some() || accept.accepted.session.is_some(),
        _ => false,
    };
    if commands.iter().any(is_bound) {
        return None;
    }
    let entries = Wanted::of(commands).remembered(remembered)?;
    if entries.values().filter_map(|entry| entry.row.as_ref()).any(over::has_history) {
        return None;
    }
    Some(Set { entries, ..Set::new(counters) })
}

/// Loads what the commands touch.
pub(super) async fn load(
    tx: &mut PgConnection,
    counters: Counters,
    remembered: &Remembered,
    commands: &[Command],
) -> Result<Set, Trouble> {
    let mut set = Set::new(counters);
    keys::load(tx, &mut set, commands).await?;
    let mut wanted = Wanted::of(commands);
    if let Some(entries) = wanted.remembered(remembered) {
        set.entries = entries;
        over::load(tx, &mut set, &wanted.ids).await?;
        return Ok(set);
    }
    let members = lone_rows(tx, &mut set, &wanted).await?;
    if !wanted.redriven.is_empty() {
        over::load_redriven(tx, &mut set, &mut wanted.sessions, &wanted.redriven).await?;
    }
    wanted.sessions.extend(members.values());
    if !wanted.sessions.is_empty() {
        lock_sessions(tx, &mut set, &wanted.sessions).await?;
        load_members(tx, &mut set, &members).await?;
    }
    over::load(tx, &mut set, &wanted.ids).await?;
    over::load_asked(tx, &mut set, &wanted.with_input, &wanted.with_retry).await?;
    Ok(set)
}

/// Locks and loads the rows without a session; the others come back with their sessions' numbers.
async fn lone_rows(tx: &mut PgConnection, set: &mut Set, wanted: &Wanted) -> Result<HashMap<Uuid, i64>, Trouble> {
    if wanted.ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = wanted.ids.iter().copied().collect();
    let sql = LONE_ROWS.replace("{live}", rows::LIVE);
    let found = sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(&mut *tx).await?;
    let mut members = HashMap::new();
    for row in found {
        let row = rows::live(&row, 0)?;
        match row.at.place {
            Some(place) => drop(members.insert(row.at.id, place.session)),
            None => drop(set.entries.insert(row.at.id, Entry::loaded(row))),
        }
    }
    Ok(members)
}

/// Locks the sessions, making those that are new.
async fn lock_sessions(tx: &mut PgConnection, set: &mut Set, sessions: &HashSet<i64>) -> Result<(), Trouble> {
    let numbers: Vec<i64> = sessions.iter().copied().collect();
    let found = sqlx::query(include_str!("lock_sessions.sql")).bind(numbers).fetch_all(&mut *tx).await?;
    for row in found {
        let session = Session::loaded(row.try_get(1)?, row.try_get(2)?, rows::number(&row, 3)?);
        set.sessions.insert(row.try_get(0)?, session);
    }
    Ok(())
}

/// Loads the members that the commands name, and of each of their sessions as many from the head on as could end in this
/// batch, and one more: whoever is the head then is known.
async fn load_members(tx: &mut PgConnection, set: &mut Set, members: &HashMap<Uuid, i64>) -> Result<(), Trouble> {
    if members.is_empty() {
        return Ok(());
    }
    let mut named: HashMap<i64, i64> = HashMap::new();
    for session in members.values() {
        *named.entry(*session).or_insert(1) += 1;
    }
    let (mut sessions, mut heads, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for (session, limit) in named {
        sessions.push(session);
        heads.push(set.sessions.get(&session).map_or(0, |known| known.head));
        limits.push(limit);
    }
    let ids: Vec<Uuid> = members.keys().copied().collect();
    let sql = LOAD_MEMBERS.replace("{live}", rows::LIVE);
    let query = sqlx::query(AssertSqlSafe(sql)).bind(ids).bind(sessions).bind(heads).bind(limits);
    for row in query.fetch_all(&mut *tx).await? {
        member(set, &row)?;
    }
    Ok(())
}

fn member(set: &mut Set, row: &PgRow) -> Result<(), Trouble> {
    let mut row = rows::live(row, 0)?;
    let Some(place) = row.at.place else { return Ok(()) };
    let Some(session) = set.sessions.get_mut(&place.session) else { return Ok(()) };
    if session.head != place.order {
        // Behind others nothing stands in `delayed`, whenever it may begin: it is put there once it is the first.
        row.delayed = None;
    }
    session.members.insert(place.order, row.at.id);
    if row.live.lease().is_some() {
        (session.held_before, session.holder) = (Some(row.at.id), Some(row.at.id));
    }
    set.entries.insert(row.at.id, Entry::loaded(row));
    Ok(())
}
