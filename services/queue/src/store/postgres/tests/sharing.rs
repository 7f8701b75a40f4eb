//! What processes learn of each other.

use std::sync::Arc;

use super::Shared;
use crate::domain::invocation::Accepted;
use crate::store::conformance::{
    NOW, Port, accept, accept_command, accepted, batch, cancel, claim, claim_command, complete, fail, leased, one,
    settle,
};
use crate::store::shared::Shared as Port2;
use crate::store::{Accept, Acceptance, Answer, Candidate, Command, Line, Note, ReadyKey, Settlement};

fn shared(port: &Port) -> &dyn Port2 {
    port.shared().expect("processes share it")
}

fn ids(candidates: &[Candidate]) -> Vec<uuid::Uuid> {
    candidates.iter().map(|candidate| candidate.id).collect()
}

async fn made_ready(port: &Port, accepted: &Accepted) -> ReadyKey {
    match accept(port, accepted).await {
        Acceptance::Created { ready: Some(candidate), .. } => candidate.key,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whoever_remembers_the_last_rank_misses_nothing_and_reads_nothing_twice() {
    let server = Shared::start().await;
    let (ours, theirs): (Port, Port) = (server.process("s").await, server.process("s").await);
    let all: Vec<Accepted> = (0..10).map(|_| accepted()).collect();
    let mut keys = Vec::new();
    for one in &all {
        keys.push(made_ready(&ours, one).await);
    }
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "ranks rise");
    assert!(shared(&ours).tail(Vec::new(), 100).await.unwrap().is_empty(), "its own it knows");
    let seen = shared(&theirs).tail(Vec::new(), 4).await.unwrap();
    assert_eq!(ids(&seen), all[..4].iter().map(|one| one.id).collect::<Vec<_>>());
    assert!(claim(&theirs, all[5].id).await.is_some());
    let rest = shared(&theirs).tail(vec![seen[3].key], 100).await.unwrap();
    let expected: Vec<_> = all[4..].iter().map(|one| one.id).filter(|id| *id != all[5].id).collect();
    assert_eq!(ids(&rest), expected, "what was taken is gone");
    // A later process reads it all; one that is named as newer does not read older ones.
    let third: Port = server.process("s").await;
    assert_eq!(shared(&third).tail(Vec::new(), 100).await.unwrap().len(), 9);
    let newer = ReadyKey { writer: shared(&third).writer(), rank: 0 };
    assert!(shared(&third).tail(vec![newer], 100).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_line_is_read_from_its_cursor_and_all_lines_are_found() {
    let server = Shared::start().await;
    let (ours, theirs): (Port, Port) = (server.process("s").await, server.process("s").await);
    for (port, priority) in [(&ours, 0), (&theirs, 0), (&ours, 5), (&ours, 0)] {
        accept(port, &Accepted { priority, ..accepted() }).await;
    }
    accept(&ours, &Accepted { agent: "b".into(), tenant: "u".into(), ..accepted() }).await;
    let line = |agent: &str, tenant: &str, priority| Line { agent: agent.into(), tenant: tenant.into(), priority };
    let lines = shared(&ours).lines().await.unwrap();
    assert_eq!(lines, [line("a", "t", 0), line("a", "t", 5), line("b", "u", 0)]);
    let read = shared(&ours).line(lines[0].clone(), Vec::new(), 10).await.unwrap();
    assert_eq!(read.len(), 3, "of every writer");
    let first = read[0].key;
    assert_eq!(shared(&ours).line(lines[0].clone(), vec![first], 10).await.unwrap(), read[1..]);
    assert!(shared(&ours).line(line("a", "t", 1), Vec::new(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_leased_as_it_is_accepted_never_stands_ready() {
    let server = Shared::start().await;
    let (ours, theirs): (Port, Port) = (server.process("s").await, server.process("s").await);
    let one = accepted();
    let lease = uuid::Uuid::now_v7();
    batch(&ours, vec![accept_command(&one), claim_command(one.id, lease, NOW)]).await;
    assert!(shared(&theirs).tail(Vec::new(), 10).await.unwrap().is_empty());
    settle(&ours, one.id, fail(lease)).await;
    assert!(shared(&theirs).tail(Vec::new(), 10).await.unwrap().is_empty(), "it backs off");
    let due = shared(&theirs).due(NOW + 10_000, 10).await.unwrap();
    assert_eq!((&due.delayed[..], &due.expired[..]), (&[one.id][..], &[][..]));
    for expected in [1, 0] {
        match super::super::super::conformance::one(&theirs, Command::Promote(due.delayed.clone())).await {
            Answer::Promoted(ready) => assert_eq!(ready.len(), expected, "once"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ids(&shared(&ours).tail(Vec::new(), 10).await.unwrap()), [one.id]);
    assert!(shared(&theirs).due(NOW + 10_000, 10).await.unwrap().delayed.is_empty());
}

#[tokio::test]
async fn a_stale_place_is_cleared_by_the_claim_that_finds_it() {
    let server = Shared::start().await;
    let ours: Port = server.process("s").await;
    let one = accepted();
    let key = made_ready(&ours, &one).await;
    // As if its end had left the place behind.
    server.0.query("DELETE FROM s.live; DELETE FROM s.invocations").await;
    let Command::Claim(mut claim) = claim_command(one.id, uuid::Uuid::now_v7(), NOW) else { unreachable!() };
    claim.ready = Some(key);
    let claimed = super::super::super::conformance::one(&ours, Command::Claim(claim)).await;
    assert!(matches!(claimed, Answer::Claimed(None)));
    assert_eq!(server.0.query("SELECT count(*) FROM s.ready").await, "0");
}

#[tokio::test]
async fn what_was_seen_ready_and_backs_off_by_now_is_not_leased_before_its_time() {
    let server = Shared::start().await;
    let (ours, theirs): (Port, Port) = (server.process("s").await, server.process("s").await);
    let asked = accepted();
    let seen = made_ready(&ours, &asked).await;
    let stale = async || {
        let Command::Claim(mut claim) = claim_command(asked.id, uuid::Uuid::now_v7(), NOW) else { unreachable!() };
        claim.ready = Some(seen);
        matches!(one(&theirs, Command::Claim(claim)).await, Answer::Claimed(Some(_)))
    };
    let lease = leased(&ours, asked.id).await;
    assert!(!stale().await, "it runs");
    settle(&ours, asked.id, fail(lease)).await;
    assert!(!stale().await, "it backs off");
    one(&ours, Command::Promote(vec![asked.id])).await;
    assert!(stale().await, "its time has come, wherever it stands");
}

#[tokio::test]
async fn an_end_elsewhere_is_noted_for_who_waits_and_for_who_keeps() {
    let server = Shared::start().await;
    let (ours, theirs): (Port, Port) = (server.process("s").await, server.process("s").await);
    let mut heard = shared(&ours).heard();
    heard.wait_for(|times| *times > 0).await.unwrap();
    heard.mark_unchanged();
    let asked = accepted();
    let Command::Accept(accept) = accept_command(&asked) else { unreachable!() };
    one(&ours, Command::Accept(Box::new(Accept { awaited: true, ..*accept }))).await;
    let lease = leased(&ours, asked.id).await;
    assert!(shared(&ours).notes(9).await.unwrap().is_empty());
    settle(&theirs, asked.id, cancel()).await;
    heard.changed().await.unwrap();
    let over = Note::LeaseOver { id: asked.id, lease, reason: Some("CANCELLED".into()) };
    assert_eq!(shared(&ours).notes(1).await.unwrap(), [over]);
    assert_eq!(shared(&ours).notes(9).await.unwrap(), [Note::Ended(asked.id)]);
    assert!(shared(&ours).notes(9).await.unwrap().is_empty(), "each is taken once");
    // Of its own ends a process needs no note, and of work that nobody waits for neither.
    let own = accepted();
    super::super::super::conformance::accept(&ours, &own).await;
    let lease = leased(&theirs, own.id).await;
    settle(&theirs, own.id, complete(lease)).await;
    assert_eq!(server.0.query("SELECT count(*) FROM s.notes").await, "0");
}

#[tokio::test]
async fn a_process_is_forgotten_only_when_it_keeps_nothing_and_what_it_made_ready_stays() {
    let server = Shared::start().await;
    let (ours, theirs) = (server.process("s").await, server.process("s").await);
    let (ours, theirs): (Port, Port) = (Arc::clone(&ours) as Port, Arc::clone(&theirs) as Port);
    let (kept, waiting) = (accepted(), accepted());
    accept(&ours, &kept).await;
    accept(&ours, &waiting).await;
    let lease = leased(&ours, kept.id).await;
    let dead = shared(&ours).writer();
    let there = async || {
        let members = shared(&theirs).beat(1.0).await.unwrap();
        members.iter().any(|member| member.writer == dead)
    };
    assert!(there().await);
    shared(&theirs).bury(dead).await.unwrap();
    assert!(there().await, "it keeps a lease");
    settle(&theirs, kept.id, complete(lease)).await;
    shared(&theirs).bury(dead).await.unwrap();
    assert!(!there().await);
    assert_eq!(ids(&shared(&theirs).tail(Vec::new(), 9).await.unwrap()), [waiting.id]);
    // It was only paused: its next batch, and its beat, bring it back.
    let late = accepted();
    accept(&ours, &late).await;
    assert!(there().await);
    assert!(shared(&ours).was_forgotten(), "what it had in memory may be others' by now");
    assert_eq!(ids(&shared(&theirs).tail(Vec::new(), 9).await.unwrap()), [waiting.id, late.id]);
    shared(&ours).leave().await.unwrap();
    assert!(!there().await, "it keeps nothing");
    assert!(!shared(&ours).was_forgotten());
    shared(&ours).beat(2.0).await.unwrap();
    assert!(there().await && shared(&ours).was_forgotten());
    shared(&ours).beat(2.0).await.unwrap();
    assert!(!shared(&ours).was_forgotten(), "it is asked once");
}

#[tokio::test]
async fn processes_do_not_tell_state_of_the_same_fences() {
    let server = Shared::start().await;
    let (ours, theirs): (Port, Port) = (server.process("s").await, server.process("s").await);
    for _ in 0..4 {
        let one = accepted();
        accept(&ours, &one).await;
        leased(&ours, one.id).await;
        assert!(matches!(settle(&ours, one.id, cancel()).await, Settlement::Now { .. }));
    }
    let here = ours.raises(0, 2).await.unwrap();
    let there = theirs.raises(0, 9).await.unwrap();
    assert_eq!((here.len(), there.len()), (2, 2));
    assert!(here.iter().all(|raise| !there.contains(raise)));
    assert_eq!(ours.raises(0, 2).await.unwrap(), here, "they stay with who took them");
}

#[tokio::test]
async fn a_clock_that_is_ahead_expires_nothing_early() {
    let server = Shared::start().await;
    let port: Port = server.process("s").await;
    let hour = 3_600_000_000;
    let now = crate::domain::time::Micros::try_from(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros(),
    )
    .unwrap();
    let one = Accepted { deadline: Some(now + hour), ..accepted() };
    accept(&port, &one).await;
    let due = shared(&port).due(now + 2 * hour, 10).await.unwrap();
    assert!(due.expired.is_empty() && due.next.is_none(), "{due:?}");
}

#[tokio::test]
async fn what_is_due_is_found_until_it_is_done_and_long_ended_work_is_not_walked_over() {
    let server = Shared::start().await;
    let port: Port = server.process("s").await;
    let other: Port = server.process("s").await;
    let second = 1_000_000;
    let late = |at| Accepted { deadline: Some(NOW + at * second), ..accepted() };
    let due = async |port: &Port| shared(port).due(NOW + 100 * second, 10).await.unwrap().expired;
    let (old, new, far) = (late(0), late(100), late(0));
    accept(&port, &old).await;
    for _ in 0..2 {
        assert_eq!(due(&port).await, [old.id], "nobody ended it");
    }
    settle(&port, old.id, crate::store::Change::Expire).await;
    for port in [&port, &other] {
        assert!(due(port).await.is_empty());
    }
    accept(&port, &new).await;
    accept(&other, &far).await;
    assert_eq!(due(&port).await, [new.id], "what is far behind is left to who accepted it, and to the next whole look");
    for _ in 0..2 {
        assert_eq!(due(&other).await, [far.id, new.id], "who accepted what had passed already looks for it");
    }
    settle(&other, far.id, crate::store::Change::Expire).await;
    assert_eq!(due(&other).await, [new.id]);
}
