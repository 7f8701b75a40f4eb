use std::collections::BTreeMap;

use super::*;
use crate::domain::event::Report;
use crate::store::{Discard, Filter, Keep, Litter, Sweep, Tell, Window};

const HOUR: Micros = 3_600_000_000;
const T0: Micros = 1_750_000_000_000_000;

/// Sweeps until nothing is left to be found; how many went.
async fn clean(store: &Port, litter: Litter, before: Micros) -> u64 {
    clean_at(store, litter, Micros::MAX, before).await
}

async fn clean_at(store: &Port, litter: Litter, now: Micros, before: Micros) -> u64 {
    let (mut gone, mut from) = (0, None);
    loop {
        let swept = store.sweep(Sweep { litter, now, before, from, limit: 3 }).await.unwrap();
        gone += swept.removed;
        for rows in swept.rows.chunks(2) {
            match one(store, Command::Discard(Discard { litter, before, rows: rows.to_vec() })).await {
                Answer::Discarded(count) => gone += count as u64,
                other => panic!("{other:?}"),
            }
        }
        from = match swept.next {
            Some(next) => Some(next),
            None => return gone,
        };
    }
}

async fn end_at(store: &Port, id: Uuid, now: Micros) {
    one(store, Command::Settle(Box::new(Settle { id, now, change: Change::Expire }))).await;
}

async fn is_there(store: &Port, id: Uuid) -> bool {
    store.get(id, None, false).await.unwrap().is_some()
}

pub(crate) async fn old_ends_go_with_all_that_belongs_to_them(store: Port) {
    let full = Accepted {
        at: T0,
        idempotency_key: Some("k".into()),
        labels: BTreeMap::from([("team".into(), "risk".into())]),
        ..in_session("s")
    };
    accept(&store, &full).await;
    let lease = leased(&store, full.id).await;
    let report = Report::Chunk { attempt: 1, data: "part".into() };
    let keep = Keep { items: 10, bytes: 1_000 };
    one(&store, Command::Tell(Box::new(Tell { id: full.id, lease, now: T0, report, keep }))).await;
    settle(&store, full.id, fail(lease)).await;
    end_at(&store, full.id, T0 + HOUR).await;
    let waiting = Accepted { at: T0, ..accepted() };
    accept(&store, &waiting).await;
    let recent = Accepted { at: T0, ..accepted() };
    accept(&store, &recent).await;
    end_at(&store, recent.id, T0 + 3 * HOUR).await;

    assert_eq!(clean(&store, Litter::Invocations, T0 + HOUR).await, 0, "nothing is old enough");
    assert_eq!(clean(&store, Litter::Invocations, T0 + 2 * HOUR).await, 1);
    assert!(!is_there(&store, full.id).await);
    assert!(is_there(&store, waiting.id).await && is_there(&store, recent.id).await);
    let window = Window { events: 10, bytes: 1_000 };
    assert!(store.history(full.id, None, 0, window).await.unwrap().is_none());
    let labelled = Filter {
        tenant: Some("t".into()),
        labels: vec![("team".into(), "risk".into())],
        limit: 10,
        ..Filter::default()
    };
    assert!(store.list(labelled).await.unwrap().is_empty());
    assert_eq!(store.by_key("t".into(), "a".into(), "k".into(), [7; 32], 0).await.unwrap(), None);
    // Its key is free, and its session goes on.
    assert!(matches!(accept(&store, &Accepted { id: Uuid::now_v7(), ..full }).await, Acceptance::Created { .. }));
}

pub(crate) async fn what_a_clock_that_was_ahead_accepted_keeps_nothing_from_going(store: Port) {
    // The first by a year, the second by so little that its time has come.
    let [ahead, just, old, young] = [9_000, 2, 0, 2].map(|hours| Accepted { at: T0 + hours * HOUR, ..accepted() });
    for accepted in [&ahead, &just, &old, &young] {
        accept(&store, accepted).await;
        end_at(&store, accepted.id, accepted.at + 1).await;
    }
    assert_eq!(clean_at(&store, Litter::Invocations, T0 + 3 * HOUR, T0 + HOUR).await, 1);
    assert!(!is_there(&store, old.id).await);
    for kept in [&ahead, &just, &young] {
        assert!(is_there(&store, kept.id).await);
    }
    assert_eq!(clean(&store, Litter::Invocations, T0 + 9_999 * HOUR).await, 3, "their time has come, too");
}

pub(crate) async fn a_key_that_a_clock_ahead_accepted_is_looked_for_again(store: Port) {
    for (key, at) in [("a", T0), ("b", T0 + 9_000 * HOUR), ("c", T0)] {
        let keyed = Accepted { at, idempotency_key: Some(key.into()), ..accepted() };
        accept(&store, &keyed).await;
        end_at(&store, keyed.id, at + 1).await;
    }
    let sweep = Sweep { litter: Litter::Keys, now: T0 + 3 * HOUR, before: T0 + HOUR, from: None, limit: 9 };
    let swept = store.sweep(sweep).await.unwrap();
    let [first, third] = swept.rows[..] else { panic!("two of them are old: {swept:?}") };
    assert!(first < third && swept.seen == Some(first), "a later sweep begins before the second: {swept:?}");
}

pub(crate) async fn a_redriven_invocation_is_as_old_as_its_last_end(store: Port) {
    let accepted = Accepted { at: T0, ..accepted() };
    accept(&store, &accepted).await;
    end_at(&store, accepted.id, T0 + HOUR).await;
    let found = store
        .sweep(Sweep { litter: Litter::Invocations, now: Micros::MAX, before: T0 + 2 * HOUR, from: None, limit: 9 })
        .await;
    let redrive = crate::store::Redrive {
        id: accepted.id,
        tenant: None,
        redrive: Uuid::now_v7(),
        statuses: vec![Status::Failed],
        deadline: None,
        ready_at: T0,
        now: T0,
    };
    one(&store, Command::Redrive(Box::new(redrive))).await;
    // It was found before, and does not go any more.
    let rows = found.unwrap().rows;
    let discard = Discard { litter: Litter::Invocations, before: T0 + 2 * HOUR, rows };
    assert!(matches!(one(&store, Command::Discard(discard)).await, Answer::Discarded(0)));
    assert_eq!(clean(&store, Litter::Invocations, T0 + 2 * HOUR).await, 0, "it has not ended");
    end_at(&store, accepted.id, T0 + 5 * HOUR).await;
    assert_eq!(clean(&store, Litter::Invocations, T0 + 2 * HOUR).await, 0, "its last end is recent");
    assert_eq!(clean(&store, Litter::Invocations, T0 + 6 * HOUR).await, 1);
}

pub(crate) async fn only_so_many_are_kept(store: Port) {
    let mut ids = Vec::new();
    for _ in 0..10 {
        let accepted = Accepted { at: T0, ..accepted() };
        accept(&store, &accepted).await;
        ids.push(accepted.id);
    }
    for id in &ids[1..8] {
        end_at(&store, *id, T0 + HOUR).await;
    }
    let keep = Litter::Excess { keep: 5 };
    assert_eq!(clean(&store, keep, T0).await, 0, "recent ends stay, however many");
    assert_eq!(clean(&store, keep, T0 + 2 * HOUR).await, 4);
    assert!(is_there(&store, ids[0]).await, "what has not ended stays");
    assert!(!is_there(&store, ids[4]).await && is_there(&store, ids[5]).await);
}

pub(crate) async fn a_key_is_free_again_after_its_time_but_not_while_its_invocation_lives(store: Port) {
    let first = Accepted { at: T0, idempotency_key: Some("k".into()), ..accepted() };
    accept(&store, &first).await;
    let again = async |since: Micros| {
        let accepted = Accepted { id: Uuid::now_v7(), at: T0 + 9 * HOUR, ..first.clone() };
        let accept = Accept {
            accepted: Arc::new(accepted),
            payload: payload("other"),
            digest: Some([8; 32]),
            awaited: false,
            keys_since: since,
        };
        match one(&store, Command::Accept(Box::new(accept))).await {
            Answer::Accepted(acceptance) => acceptance,
            other => panic!("{other:?}"),
        }
    };
    let taken = Acceptance::Existing { id: first.id, same: false };
    assert_eq!(again(T0 + HOUR).await, taken, "it has not ended");
    assert_eq!(clean(&store, Litter::Keys, T0 + HOUR).await, 0);
    end_at(&store, first.id, T0 + 2 * HOUR).await;
    assert_eq!(again(T0).await, taken, "its time has not come");
    let found = async |since| store.by_key("t".into(), "a".into(), "k".into(), [7; 32], since).await.unwrap();
    assert_eq!(found(T0).await, Some((first.id, true)));
    assert_eq!(found(T0 + 1).await, None);
    assert!(matches!(again(T0 + HOUR).await, Acceptance::Created { .. }), "another payload may take it");
    assert!(matches!(again(T0 + HOUR).await, Acceptance::Existing { same: true, .. }), "which has it from then on");
    clean(&store, Litter::Keys, T0 + 3 * HOUR).await;
    assert!(found(T0 + 3 * HOUR).await.is_some(), "the old invocation takes the new one's key with it");
}

pub(crate) async fn expired_keys_are_removed(store: Port) {
    let first = Accepted { at: T0, idempotency_key: Some("k".into()), ..accepted() };
    accept(&store, &first).await;
    end_at(&store, first.id, T0 + 2 * HOUR).await;
    clean(&store, Litter::Keys, T0).await;
    assert!(store.by_key("t".into(), "a".into(), "k".into(), [7; 32], 0).await.unwrap().is_some());
    clean(&store, Litter::Keys, T0 + HOUR).await;
    assert!(store.by_key("t".into(), "a".into(), "k".into(), [7; 32], 0).await.unwrap().is_none());
    assert!(is_there(&store, first.id).await);
}

pub(crate) async fn reports_go_before_their_invocation(store: Port) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        let accepted = Accepted { at: T0, ..accepted() };
        accept(&store, &accepted).await;
        let lease = leased(&store, accepted.id).await;
        for _ in 0..3 {
            let report = Report::Progress { message: "half".into(), fraction: None };
            let keep = Keep { items: 10, bytes: 1_000 };
            let tell = Tell { id: accepted.id, lease, now: T0, report, keep };
            one(&store, Command::Tell(Box::new(tell))).await;
        }
        ids.push(accepted.id);
    }
    for (id, hour) in [(ids[1], 1), (ids[2], 5), (ids[3], 1)] {
        end_at(&store, id, T0 + hour * HOUR).await;
    }
    clean(&store, Litter::Reports, T0 + 2 * HOUR).await;
    let window = Window { events: 100, bytes: 1 << 20 };
    for (id, expected) in ids.iter().zip([5, 3, 6, 3, 5]) {
        let history = store.history(*id, None, 0, window).await.unwrap().unwrap();
        assert_eq!(history.events.len(), expected, "changes of state stay");
    }
}

pub(crate) async fn a_session_goes_when_nobody_is_in_it_and_its_fences_are_old(store: Port) {
    let (idle, busy, recent) = (in_session("idle"), in_session("busy"), in_session("recent"));
    for (accepted, now) in [(&idle, T0), (&busy, T0), (&recent, T0 + 9 * HOUR)] {
        accept(&store, accepted).await;
        one(&store, claim_command(accepted.id, Uuid::now_v7(), now)).await;
        settle(&store, accepted.id, cancel()).await;
    }
    accept(&store, &in_session("busy")).await;
    clean(&store, Litter::Sessions, T0 + HOUR).await;
    let order = async |name: &str| match accept(&store, &in_session(name)).await {
        Acceptance::Created { place: Some(place), .. } => place.order,
        other => panic!("{other:?}"),
    };
    assert_eq!((order("busy").await, order("recent").await), (3, 2), "they go on");
    assert_eq!(order("idle").await, 1, "it began anew");
    let again = in_session("idle");
    accept(&store, &again).await;
}
