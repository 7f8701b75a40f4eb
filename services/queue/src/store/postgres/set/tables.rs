//! The operations of decisions, on a working set.

use std::sync::Arc;

use holdfast_storage::{Class, Failure};
use uuid::Uuid;

use super::super::super::apply::{At, Created, Revived, Row, Tables};
use super::super::super::{Accept, Candidate, Discard, KeptLease, Note, ReadyKey, Redrive, Tell, WriterId};
use super::super::rows::{self, Facts, LiveRow};
use super::{Asked, Entry, Key, Keyed, New, Past, Set, Told, session_number};
use crate::domain::invocation::{Accepted, Payload, Usage};
use crate::domain::record::{Ended, Live, PastEnd, Phase, Try, TryKind};
use crate::domain::retry::{RELEASES_COUNTED, RetryPolicy};
use crate::domain::schedule::Place;
use crate::domain::time::Micros;

/// Old reports are cleared away when this many have come since, or a large one.
const CLEARING_STEP: u64 = 32;

impl Set {
    /// Adds what waits, at the end of its session.
    fn add(
        &mut self,
        accepted: &Accepted,
        seq: i64,
        live: Live,
        awaited: bool,
        now: Micros,
    ) -> (At, Option<Candidate>) {
        let place = accepted.session.as_deref().and_then(|name| {
            let number = session_number(&accepted.tenant, name);
            Some(self.sessions.get_mut(&number)?.join(number, accepted.id).0)
        });
        let at = At { id: accepted.id, seq, place, deadline: accepted.deadline, keeper: None };
        let facts = Facts {
            tenant: Arc::clone(&accepted.tenant),
            agent: Arc::clone(&accepted.agent),
            session: accepted.session.clone(),
            priority: accepted.priority,
            accepted_at: accepted.at,
            bytes: accepted.bytes,
            awaited_by: awaited.then(|| self.me()),
        };
        let row = LiveRow { at, facts, live, ready: None, delayed: None };
        self.entries.insert(accepted.id, Entry { stored: None, row: Some(row), is_changed: true });
        (at, self.stand(accepted.id, now))
    }

    fn change(&mut self, id: Uuid) -> Result<&mut LiveRow, Failure> {
        let entry = self.entries.get_mut(&id).ok_or_else(missing)?;
        entry.is_changed = true;
        entry.row.as_mut().ok_or_else(missing)
    }

    fn asked(&self, id: Uuid) -> Result<&Asked, Failure> {
        self.asked.get(&id).ok_or_else(missing)
    }
}

/// Loading forgot something: a mistake of ours, which fails the one command alone.
fn missing() -> Failure {
    Failure::new(Class::Statement, "a command needs what was not loaded for it")
}

impl Tables for Set {
    type Error = Failure;

    fn writer(&self) -> Option<WriterId> {
        Some(self.me())
    }

    fn take_key(
        &mut self,
        accepted: &Accepted,
        key: &str,
        digest: &[u8; 32],
        since: Micros,
    ) -> Result<Option<(Uuid, bool)>, Failure> {
        let key = Key { tenant: Arc::clone(&accepted.tenant), agent: Arc::clone(&accepted.agent), key: key.to_owned() };
        let held = self.keys.get_mut(&key).ok_or_else(missing)?;
        if held.id == accepted.id {
            return Ok(None);
        }
        let is_free = held.over.is_some_and(|accepted_at| accepted_at < since);
        if !is_free {
            return Ok(Some((held.id, held.digest == *digest)));
        }
        *held = Keyed { id: accepted.id, digest: *digest, over: None };
        self.news.keys_taken.push((key, *held));
        Ok(None)
    }

    fn create(&mut self, accept: &Accept) -> Result<Created, Failure> {
        let accepted = &accept.accepted;
        let seq = self.counters.next_seq(accepted.at);
        let live = Live::accepted(accepted.not_before);
        let (at, ready) = self.add(accepted, seq, live, accept.awaited, accepted.at);
        self.news.invocations.push(New { accepted: Arc::clone(accepted), payload: accept.payload.clone() });
        Ok(Created { seq, place: at.place, ready: ready.map(Box::new) })
    }

    fn live(&mut self, id: Uuid) -> Result<Option<Row>, Failure> {
        Ok(self.row(id).map(|row| Row { at: row.at, live: row.live.clone() }))
    }

    fn is_ready(&self, id: Uuid) -> bool {
        self.row(id).is_some_and(|row| row.ready.is_some())
    }

    fn head_fence(&mut self, place: Place) -> Result<Option<u64>, Failure> {
        let session = self.sessions.get(&place.session).ok_or_else(missing)?;
        Ok((session.head == place.order).then_some(session.fence))
    }

    fn grant(&mut self, at: &At, live: &Live) -> Result<(), Failure> {
        let me = self.me();
        let row = self.change(at.id)?;
        row.live = live.clone();
        row.at.keeper = Some(me);
        Self::take_away(row);
        if let Some(session) = at.place.and_then(|place| self.sessions.get_mut(&place.session)) {
            session.fence = live.fence;
            session.holder = Some(at.id);
            session.is_changed = true;
        }
        Ok(())
    }

    fn forget_ready(&mut self, key: ReadyKey) -> Result<(), Failure> {
        self.news.stale.push(key);
        Ok(())
    }

    fn input(&mut self, at: &At) -> Result<(Arc<Accepted>, Payload), Failure> {
        if let Some(new) = self.news.invocations.iter().find(|new| new.accepted.id == at.id) {
            return Ok((Arc::clone(&new.accepted), new.payload.clone()));
        }
        let asked = self.asked(at.id)?;
        match (&asked.accepted, &asked.payload) {
            (Some(accepted), Some(payload)) => Ok((Arc::clone(accepted), payload.clone())),
            _ => Err(missing()),
        }
    }

    fn retry(&mut self, at: &At) -> Result<RetryPolicy, Failure> {
        if let Some(new) = self.news.invocations.iter().find(|new| new.accepted.id == at.id) {
            return Ok(new.accepted.retry.clone());
        }
        self.asked(at.id)?.retry.clone().ok_or_else(missing)
    }

    fn tries(&mut self, id: Uuid, _seq: i64) -> Result<Vec<Try>, Failure> {
        Ok(self.tries.get(&id).cloned().unwrap_or_default())
    }

    fn past_ends(&mut self, id: Uuid, _seq: i64) -> Result<Vec<PastEnd>, Failure> {
        Ok(self.past_ends.get(&id).cloned().unwrap_or_default())
    }

    fn releases(&mut self, at: &At) -> Result<usize, Failure> {
        let tries = self.tries.get(&at.id).map(Vec::as_slice).unwrap_or_default();
        let released = |tried: &&Try| tried.kind == TryKind::Released;
        Ok(tries.iter().rev().take(RELEASES_COUNTED).take_while(released).count())
    }

    fn belongs_to(&mut self, id: Uuid, tenant: &str) -> Result<bool, Failure> {
        let owner = match self.row(id) {
            Some(row) => Some(&row.facts.tenant),
            None => self.over.get(&id).map(|over| &over.tenant),
        };
        Ok(owner.is_some_and(|owner| **owner == *tenant))
    }

    fn ended(&mut self, id: Uuid) -> Result<Option<(i64, Ended)>, Failure> {
        Ok(self.over.get(&id).map(|over| (over.accepted_at, over.ended.clone())))
    }

    fn requeue(&mut self, at: &At, live: &Live, tried: &Try) -> Result<Vec<Candidate>, Failure> {
        Ok(self.requeued(at.id, live, tried).into_iter().collect())
    }

    fn end(
        &mut self,
        at: &At,
        ended: &Ended,
        tried: Option<&Try>,
        raise: Option<u64>,
    ) -> Result<Vec<Candidate>, Failure> {
        Ok(self.over(at.id, ended, tried, raise))
    }

    fn used(&mut self, id: Uuid, _seq: i64, usage: Usage) -> Result<(), Failure> {
        self.over.get_mut(&id).ok_or_else(missing)?.ended.usage = usage;
        // One that ended in this very batch is stored with it.
        if !self.news.ended.contains(&id) {
            self.news.used.push(id);
        }
        Ok(())
    }

    fn adopt(&mut self, at: &At, live: &Live) -> Result<Option<KeptLease>, Failure> {
        let me = self.me();
        let row = self.change(at.id)?;
        row.live = live.clone();
        let former = row.at.keeper.replace(me);
        let kept = rows::kept(row);
        if let Some(kept) = &kept {
            self.note(former, Note::LeaseOver { id: at.id, lease: kept.lease.id, reason: None });
        }
        Ok(kept)
    }

    fn tell(&mut self, at: &At, live: &Live, tell: &Tell) -> Result<(), Failure> {
        self.change(at.id)?.live = live.clone();
        let is_large = tell.report.size() > tell.keep.bytes / CLEARING_STEP as usize;
        let clear = (is_large || live.events.is_multiple_of(CLEARING_STEP)).then_some(tell.keep);
        let report = tell.report.clone();
        self.news.told.push(Told { id: at.id, event: live.events, at: tell.now, report, clear });
        Ok(())
    }

    fn forget_raises(&mut self, raises: &[i64]) -> Result<(), Failure> {
        self.news.raises_told.extend(raises);
        Ok(())
    }

    fn promote(&mut self, ids: &[Uuid]) -> Result<Vec<Candidate>, Failure> {
        // The time of each has come, whatever a clock says by now; one that was claimed or has ended since stays as it is.
        Ok(ids.iter().filter_map(|id| self.stand(*id, Micros::MAX)).collect())
    }

    fn revive(&mut self, redrive: &Redrive, seq: i64, ended: &Ended, live: &Live) -> Result<Revived, Failure> {
        let is_stored = !self.entries.contains_key(&redrive.id);
        let asked = self.over.get(&redrive.id).and_then(|over| over.accepted.clone()).filter(|_| is_stored);
        // One that ended in this very batch is redriven by the next.
        let accepted = Arc::new(Accepted { deadline: redrive.deadline, ..(*asked.ok_or_else(missing)?).clone() });
        let end = PastEnd { ended: ended.clone(), redriven_at: redrive.now, redrive: redrive.redrive };
        self.past_ends.entry(redrive.id).or_default().push(end.clone());
        self.news.past.push(Past { id: redrive.id, deadline: redrive.deadline, end });
        self.over.remove(&redrive.id);
        debug_assert!(matches!(live.phase, Phase::Queued { .. }));
        let (at, ready) = self.add(&accepted, seq, live.clone(), false, redrive.now);
        Ok(Revived { accepted, place: at.place, ready: ready.map(Box::new) })
    }

    fn discard(&mut self, _discard: &Discard) -> Result<usize, Failure> {
        // This store removes by itself what a sweep finds.
        Ok(0)
    }
}
