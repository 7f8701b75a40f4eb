//! What has had its time: found by a reader, removed by the writer, in small pieces.
//!
//! Everything is found by walking in the order of acceptance up to what cannot be old enough yet, for what ended before a
//! time was accepted before it. So no index has to be kept for this, and nothing is paid until it comes. It ends where all of a
//! look are too young: what a clock that was ahead for a while accepted among the others is passed over, and does not keep those
//! behind it.

use rusqlite::{Connection, Transaction, params};

use super::super::{Discard, Litter, Sweep, Swept};
use crate::domain::time::Micros;

/// What is found, and how to see that it still holds: both by a row's number (?1) and the time before which it ended (?2).
struct Kind {
    /// Rows behind a number (?1), at most ?3: number, whether it may go, and when it was accepted, where that is their order.
    find: &'static str,
    /// Whether a row may go.
    holds: &'static str,
    /// What is removed with it, in this order.
    remove: &'static [&'static str],
}

const INVOCATIONS: Kind = Kind {
    find: "SELECT i.seq, coalesce(ended.at < ?2, false), i.accepted_at
           FROM invocations i LEFT JOIN ended ON ended.seq = i.seq WHERE i.seq > ?1 ORDER BY i.seq LIMIT ?3",
    holds: "SELECT 1 FROM ended WHERE seq = ?1 AND at < ?2",
    remove: &[
        "DELETE FROM labels WHERE (tenant, name, value, id) IN (
             SELECT tenant, json_each.key, json_each.value, invocations.id FROM invocations, json_each(invocations.labels)
             WHERE seq = ?1)",
        "DELETE FROM unsuccessful WHERE (tenant, state, id) = (
             SELECT tenant, state, id FROM invocations JOIN ended USING (seq) WHERE seq = ?1)",
        "DELETE FROM idempotency_keys WHERE (tenant, agent, key, id) = (
             SELECT tenant, agent, idempotency_key, id FROM invocations WHERE seq = ?1)",
        "DELETE FROM reports WHERE seq = ?1",
        "DELETE FROM tries WHERE seq = ?1",
        "DELETE FROM past_ends WHERE seq = ?1",
        "DELETE FROM ended WHERE seq = ?1",
        "DELETE FROM invocations WHERE seq = ?1",
    ],
};

const REPORTS: Kind = Kind {
    find: "WITH RECURSIVE told(seq) AS (
               SELECT min(seq) FROM reports WHERE seq > ?1
               UNION ALL SELECT (SELECT min(seq) FROM reports WHERE seq > told.seq) FROM told WHERE told.seq IS NOT NULL
           )
           SELECT i.seq, coalesce(ended.at < ?2, false), i.accepted_at
           FROM told CROSS JOIN invocations i ON i.seq = told.seq LEFT JOIN ended ON ended.seq = i.seq LIMIT ?3",
    holds: INVOCATIONS.holds,
    remove: &["DELETE FROM reports WHERE seq = ?1"],
};

const KEYS: Kind = Kind {
    find: "SELECT i.seq, i.idempotency_key IS NOT NULL AND ended.at IS NOT NULL AND i.accepted_at < ?2,
               i.accepted_at
           FROM invocations i LEFT JOIN ended ON ended.seq = i.seq WHERE i.seq > ?1 ORDER BY i.seq LIMIT ?3",
    holds: "SELECT 1 FROM invocations i JOIN ended USING (seq) WHERE i.seq = ?1 AND i.accepted_at < ?2",
    remove: &["DELETE FROM idempotency_keys WHERE (tenant, agent, key, id) = (
                   SELECT tenant, agent, idempotency_key, id FROM invocations WHERE seq = ?1)"],
};

/// A fence is the time at which it was given, or a little later.
const SESSIONS: Kind = Kind {
    find: "SELECT session, fence < ?2 AND NOT EXISTS (SELECT 1 FROM live WHERE live.session = sessions.session), NULL
           FROM sessions WHERE session > ?1 ORDER BY session LIMIT ?3",
    holds: "SELECT 1 FROM sessions WHERE session = ?1 AND fence < ?2
                AND NOT EXISTS (SELECT 1 FROM live WHERE live.session = ?1)",
    remove: &["DELETE FROM sessions WHERE session = ?1"],
};

fn kind(litter: Litter) -> &'static Kind {
    match litter {
        Litter::Invocations | Litter::Excess { .. } => &INVOCATIONS,
        Litter::Reports => &REPORTS,
        Litter::Keys => &KEYS,
        Litter::Sessions => &SESSIONS,
    }
}

pub(super) fn sweep(connection: &Connection, sweep: &Sweep) -> rusqlite::Result<Swept> {
    let up_to = match sweep.litter {
        Litter::Excess { keep } => newest(connection)?.saturating_sub(i64::try_from(keep).unwrap_or(i64::MAX)),
        _ => i64::MAX,
    };
    let mut statement = connection.prepare_cached(kind(sweep.litter).find)?;
    let mut rows = statement.query(params![sweep.from.unwrap_or(i64::MIN), sweep.before, sweep.limit as i64])?;
    let (mut swept, mut looked, mut old, mut young) = (Swept::default(), 0, 0, 0);
    while let Some(row) = rows.next()? {
        let (number, may_go, accepted): (i64, bool, Option<Micros>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if number > up_to {
            return Ok(Swept { next: None, ..swept });
        }
        swept.next = Some(number);
        let is_old = accepted.is_none_or(|at| at < sweep.before);
        if is_old && old == looked {
            // None before it is of another age.
            swept.seen = Some(number);
        }
        looked += 1;
        old += usize::from(is_old);
        young += usize::from(accepted.is_some_and(|at| (sweep.before..=sweep.now).contains(&at)));
        if may_go {
            swept.rows.push(number);
        }
    }
    if looked < sweep.limit || young == looked {
        swept.next = None;
    }
    Ok(swept)
}

pub(super) fn discard(tx: &Transaction<'_>, discard: &Discard) -> rusqlite::Result<usize> {
    let kind = kind(discard.litter);
    let mut holds = tx.prepare_cached(kind.holds)?;
    let mut gone = 0;
    for row in &discard.rows {
        if !holds.exists(params![row, discard.before])? {
            continue;
        }
        for sql in kind.remove {
            tx.prepare_cached(sql)?.execute([row])?;
        }
        gone += 1;
    }
    Ok(gone)
}

fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM invocations")?.query_row([], |row| row.get(0))
}
