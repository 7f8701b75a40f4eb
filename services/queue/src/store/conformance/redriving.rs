use super::*;
use crate::domain::event::What;
use crate::domain::record::{Phase, Standing};
use crate::domain::schedule::Place;
use crate::store::{Gone, NotRedriven, Redrive, Redriven, Redrives, Window};

const LATER: Micros = NOW + 1_000;

fn again(id: Uuid) -> Redrive {
    Redrive {
        id,
        tenant: Some("t".into()),
        redrive: Uuid::now_v7(),
        statuses: vec![Status::Failed, Status::Cancelled, Status::Dead],
        deadline: None,
        ready_at: LATER,
        now: LATER,
    }
}

async fn redrive(store: &Port, redrive: Redrive) -> Redriven {
    match one(store, Command::Redrive(Box::new(redrive))).await {
        Answer::Redriven(redriven) => *redriven,
        other => panic!("{other:?}"),
    }
}

async fn revived(store: &Port, id: Uuid) -> (Arc<Accepted>, Option<Place>) {
    match redrive(store, again(id)).await {
        Redriven::Now { accepted, place, .. } => (accepted, place),
        other => panic!("{other:?}"),
    }
}

/// Dies of two failed attempts.
async fn die(store: &Port, accepted: &Accepted) -> Uuid {
    accept(store, accepted).await;
    for _ in 0..2 {
        let lease = leased(store, accepted.id).await;
        settle(store, accepted.id, fail(lease)).await;
    }
    accepted.id
}

pub(crate) async fn a_redriven_invocation_keeps_its_past_and_has_its_attempts_again(store: Port) {
    let id = die(&store, &Accepted { deadline: Some(NOW * 2), ..accepted() }).await;
    let (asked, place) = revived(&store, id).await;
    assert_eq!((asked.deadline, asked.bytes, place), (None, 5, None), "the old deadline is lifted");
    let found = store.get(id, None, true).await.unwrap().unwrap();
    let Standing::Live(live) = &found.standing else { panic!("it waits") };
    assert_eq!((live.attempt, live.tries, live.redrives, live.lost), (0, 2, 1, 0));
    assert_eq!(live.phase, Phase::Queued { next_at: Some(LATER) });
    assert_eq!((found.accepted.deadline, found.payload), (None, Some(payload("input"))));
    assert_eq!((found.tries.len(), found.past_ends.len()), (2, 1));
    assert_eq!(found.past_ends[0].ended.outcome.status(), Status::Dead);
    assert_eq!(found.past_ends[0].redriven_at, LATER);

    let (lease, claimed) = claim(&store, id).await.unwrap();
    assert_eq!((claimed.tries.len(), claimed.past_ends.len(), claimed.live.attempt), (2, 1, 1));
    assert_eq!(became(settle(&store, id, fail(lease)).await), Status::Queued, "it may be tried twice again");
    let lease = leased(&store, id).await;
    match settle(&store, id, complete(lease)).await {
        Settlement::Now { tries, past_ends, .. } => assert_eq!((tries.len(), past_ends.len()), (3, 1)),
        other => panic!("{other:?}"),
    }
    let ended = store.get(id, None, false).await.unwrap().unwrap();
    assert_eq!((ended.standing.status(), ended.tries.len(), ended.past_ends.len()), (Status::Succeeded, 3, 1));
}

pub(crate) async fn events_go_on_over_a_redrive(store: Port) {
    let id = die(&store, &accepted()).await;
    let before = store.history(id, None, 0, Window { events: 100, bytes: 1 << 20 }).await.unwrap().unwrap();
    assert!(before.ended);
    revived(&store, id).await;
    settle(&store, id, cancel()).await;
    revived(&store, id).await;
    let lease = leased(&store, id).await;
    settle(&store, id, complete(lease)).await;
    let after = store.history(id, None, 0, Window { events: 100, bytes: 1 << 20 }).await.unwrap().unwrap();
    assert_eq!(after.events[..before.events.len()], before.events, "what was seen stays");
    let seen: Vec<_> = after
        .events
        .iter()
        .map(|event| match &event.what {
            What::Status { status, attempt, .. } => (event.offset, *status, *attempt),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (1, Status::Queued, 0),
        (2, Status::Leased, 1),
        (3, Status::Queued, 1),
        (4, Status::Leased, 2),
        (5, Status::Dead, 2),
        (6, Status::Queued, 0),
        (7, Status::Cancelled, 0),
        (8, Status::Queued, 0),
        (9, Status::Leased, 1),
        (10, Status::Succeeded, 1),
    ];
    assert_eq!(seen, expected);
}

pub(crate) async fn a_redriven_member_goes_to_the_end_of_its_session_under_a_rising_fence(store: Port) {
    let first = die(&store, &in_session("s")).await;
    let running = in_session("s");
    accept(&store, &running).await;
    let (lease, claimed) = claim(&store, running.id).await.unwrap();
    let waiting = in_session("s");
    accept(&store, &waiting).await;
    let (_, place) = revived(&store, first).await;
    assert_eq!(place.unwrap().order, 4, "behind the one that waits");
    settle(&store, running.id, complete(lease)).await;
    assert!(claim(&store, first).await.is_none(), "another one is before it");
    let lease = leased(&store, waiting.id).await;
    settle(&store, waiting.id, complete(lease)).await;
    let (_, again) = claim(&store, first).await.unwrap();
    assert!(again.live.fence > claimed.live.fence, "the session's fence goes on");
}

pub(crate) async fn a_lone_fence_rises_over_a_redrive(store: Port) {
    let id = accept_new(&store).await;
    let (_, first) = claim(&store, id).await.unwrap();
    settle(&store, id, cancel()).await;
    let raised = store.raises(0, 10).await.unwrap().remove(0).fence;
    assert_eq!(raised, first.live.fence);
    revived(&store, id).await;
    let (_, second) = claim(&store, id).await.unwrap();
    assert!(second.live.fence > raised);
}

pub(crate) async fn a_repeated_redrive_gets_its_first_answer(store: Port) {
    let id = die(&store, &accepted()).await;
    let call = Redrive { redrive: Uuid::from_u128(5), ..again(id) };
    let repeat = || Redrive { redrive: Uuid::from_u128(5), ..again(id) };
    assert!(matches!(redrive(&store, call).await, Redriven::Now { .. }));
    assert!(matches!(redrive(&store, repeat()).await, Redriven::Before));
    settle(&store, id, cancel()).await;
    assert!(matches!(redrive(&store, repeat()).await, Redriven::Before), "also when it has ended again");
    assert_eq!(store.get(id, None, false).await.unwrap().unwrap().standing.status(), Status::Cancelled);
}

pub(crate) async fn what_is_not_as_asked_is_not_redriven(store: Port) {
    let dead = die(&store, &accepted()).await;
    let queued = accept_new(&store).await;
    let running = accept_new(&store).await;
    leased(&store, running).await;
    let done = accept_new(&store).await;
    let lease = leased(&store, done).await;
    settle(&store, done, complete(lease)).await;
    for (asked, why) in [
        (again(queued), NotRedriven::Is(Status::Queued)),
        (again(running), NotRedriven::Is(Status::Leased)),
        (again(done), NotRedriven::Is(Status::Succeeded)),
        (Redrive { statuses: Status::ALL.to_vec(), ..again(done) }, NotRedriven::Is(Status::Succeeded)),
        (Redrive { statuses: vec![Status::Failed], ..again(dead) }, NotRedriven::Is(Status::Dead)),
        (Redrive { tenant: Some("u".into()), ..again(dead) }, NotRedriven::Unknown),
        (again(Uuid::now_v7()), NotRedriven::Unknown),
    ] {
        match redrive(&store, asked).await {
            Redriven::Refused(refused) => assert_eq!(refused, why),
            other => panic!("{why:?} was expected, not {other:?}"),
        }
    }
}

pub(crate) async fn old_leases_stay_what_they_were_over_a_redrive(store: Port) {
    let id = accept_new(&store).await;
    let failed = leased(&store, id).await;
    settle(&store, id, fail(failed)).await;
    let second = leased(&store, id).await;
    settle(&store, id, cancel()).await;
    revived(&store, id).await;
    let holder = leased(&store, id).await;
    assert!(matches!(settle(&store, id, complete(second)).await, Settlement::Refused(Gone::Cancelled)));
    let repeat = settle(&store, id, fail(failed)).await;
    assert!(matches!(repeat, Settlement::Before { status: Status::Queued, .. }), "{repeat:?}");
    assert_eq!(became(settle(&store, id, complete(holder)).await), Status::Succeeded);
}

pub(crate) async fn a_new_deadline_takes_the_place_of_the_old_one(store: Port) {
    let id = accept_new(&store).await;
    settle(&store, id, Change::Expire).await;
    let call = Redrive { deadline: Some(LATER + 7), ..again(id) };
    assert!(matches!(redrive(&store, call).await, Redriven::Now { .. }));
    let waiting = store.waiting().await.unwrap();
    if let Some(found) = waiting.first() {
        assert_eq!((found.id, found.deadline, found.accepted_at), (id, Some(LATER + 7), LATER));
    }
    match one(&store, claim_command(id, Uuid::now_v7(), LATER + 8)).await {
        Answer::Claimed(claimed) => assert!(claimed.is_none(), "expired work never starts"),
        other => panic!("{other:?}"),
    }
    let (_, claimed) = claim(&store, id).await.expect("in time it starts");
    assert_eq!(claimed.input.unwrap().0.deadline, Some(LATER + 7));
}

pub(crate) async fn what_a_call_has_redriven_is_found_by_its_id(store: Port) {
    let mut ids = [die(&store, &accepted()).await, die(&store, &accepted()).await];
    ids.sort_unstable();
    let call = Uuid::now_v7();
    for id in ids.into_iter().rev() {
        redrive(&store, Redrive { redrive: call, ..again(id) }).await;
    }
    revived(&store, die(&store, &accepted()).await).await;
    let all = Redrives { redrive: call, tenant: None, beyond: None, limit: 10 };
    let found = async |past: Redrives| store.redriven_by(past).await.unwrap();
    let of = |tenant: &str| Redrives { tenant: Some(tenant.into()), ..all.clone() };
    assert_eq!(found(all.clone()).await, ids);
    assert_eq!(found(of("t")).await, ids);
    assert!(found(of("u")).await.is_empty(), "another tenant's");
    assert_eq!(found(Redrives { limit: 1, ..all.clone() }).await, ids[..1]);
    assert_eq!(found(Redrives { beyond: Some(ids[0]), ..all.clone() }).await, ids[1..]);
    assert!(found(Redrives { redrive: Uuid::now_v7(), ..all }).await.is_empty(), "another call's");
}
