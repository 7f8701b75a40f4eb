use super::*;
use crate::domain::record::{Outcome, Standing, TryKind};
use crate::store::{Gone, RaiseScope};

pub(crate) async fn the_first_end_wins_and_the_others_learn_why(store: Port) {
    let ends: [(Change, Gone); 2] = [(cancel(), Gone::Cancelled), (Change::Expire, Gone::DeadlinePassed)];
    for (end, why) in ends {
        let id = accept_new(&store).await;
        let lease = leased(&store, id).await;
        settle(&store, id, end).await;
        for late in [complete(lease), fail(lease), Change::Release { lease }] {
            match settle(&store, id, late).await {
                Settlement::Refused(gone) => assert_eq!(gone, why),
                other => panic!("{other:?}"),
            }
        }
    }
    let id = accept_new(&store).await;
    let lease = leased(&store, id).await;
    assert_eq!(became(settle(&store, id, complete(lease)).await), Status::Succeeded);
    for late in [cancel(), Change::Expire] {
        let settlement = settle(&store, id, late).await;
        assert!(matches!(settlement, Settlement::Refused(Gone::Ended(Status::Succeeded))), "{settlement:?}");
    }
    let settlement = settle(&store, id, fail(lease)).await;
    assert!(matches!(settlement, Settlement::Refused(Gone::LeaseLost)), "{settlement:?}");
}

pub(crate) async fn what_a_holder_used_is_kept_though_it_learns_of_the_end_afterwards(store: Port) {
    let used = async |id| match store.get(id, None, false).await.unwrap().unwrap().standing {
        Standing::Ended(ended) => ended.usage,
        Standing::Live(live) => panic!("{live:?}"),
    };
    let usage = Usage { input_tokens: 7, output_tokens: 8 };
    let late = |lease| Change::Fail { lease, failure: busy(), usage, jitter: 1.0 };
    for end in [cancel(), Change::Expire] {
        let id = accept_new(&store).await;
        let lost = leased(&store, id).await;
        settle(&store, id, lose(lost)).await;
        let lease = leased(&store, id).await;
        settle(&store, id, end).await;
        for stranger in [lost, Uuid::now_v7()] {
            settle(&store, id, late(stranger)).await;
            assert_eq!(used(id).await, Usage::default(), "only its last holder knows");
        }
        assert!(matches!(settle(&store, id, late(lease)).await, Settlement::Refused(_)));
        assert_eq!(used(id).await, usage);
        settle(&store, id, complete(lease)).await;
        assert_eq!(used(id).await, usage, "the first word counts");
    }
}

pub(crate) async fn a_repeat_gets_its_first_answer(store: Port) {
    let id = accept_new(&store).await;
    let released = leased(&store, id).await;
    settle(&store, id, Change::Release { lease: released }).await;
    let failed = leased(&store, id).await;
    settle(&store, id, fail(failed)).await;
    let completed = leased(&store, id).await;
    settle(&store, id, complete(completed)).await;
    for (repeat, expected) in [
        (Change::Release { lease: released }, (Status::Queued, None)),
        (fail(failed), (Status::Queued, Some(NOW + 110))),
        (complete(completed), (Status::Succeeded, None)),
    ] {
        match settle(&store, id, repeat).await {
            Settlement::Before { status, at, next_at } => {
                assert_eq!(((status, next_at), at), (expected, NOW + 10));
            }
            other => panic!("{other:?}"),
        }
    }
    // Another answer under the same lease is no repeat.
    assert!(matches!(settle(&store, id, complete(failed)).await, Settlement::Refused(Gone::LeaseLost)));
    let cancelled = accept_new(&store).await;
    settle(&store, cancelled, cancel()).await;
    assert!(matches!(settle(&store, cancelled, cancel()).await, Settlement::Before { .. }));
}

pub(crate) async fn releases_in_a_row_are_paced(store: Port) {
    let id = accept_new(&store).await;
    let release = async || {
        let lease = leased(&store, id).await;
        match settle(&store, id, Change::Release { lease }).await {
            Settlement::Now { step: Step::Requeued { tried, .. }, .. } => tried.next_at,
            other => panic!("{other:?}"),
        }
    };
    for _ in 0..10 {
        assert_eq!(release().await, None);
    }
    for seconds in [1, 2, 4] {
        assert_eq!(release().await, Some(NOW + 10 + seconds * 1_000_000), "it waits longer and longer");
    }
    let failed = leased(&store, id).await;
    settle(&store, id, fail(failed)).await;
    assert_eq!(release().await, None, "they are in a row no more");
}

pub(crate) async fn a_stranger_cancels_nothing(store: Port) {
    let id = accept_new(&store).await;
    let stranger = Change::Cancel { tenant: Some("u".into()), why: String::new() };
    assert!(matches!(settle(&store, id, stranger).await, Settlement::Refused(Gone::Unknown)));
    assert!(matches!(settle(&store, Uuid::now_v7(), cancel()).await, Settlement::Refused(Gone::Unknown)));
    assert!(matches!(settle(&store, id, complete(Uuid::now_v7())).await, Settlement::Refused(Gone::LeaseLost)));
    let record = store.get(id, None, false).await.unwrap().unwrap();
    assert_eq!(record.standing.status(), Status::Queued);
    let anybody = Change::Cancel { tenant: None, why: String::new() };
    assert_eq!(became(settle(&store, id, anybody).await), Status::Cancelled);
}

pub(crate) async fn every_failed_attempt_is_kept(store: Port) {
    let id = accept_new(&store).await;
    let lost = leased(&store, id).await;
    settle(&store, id, lose(lost)).await;
    for expected in [Status::Queued, Status::Dead] {
        let lease = leased(&store, id).await;
        assert_eq!(became(settle(&store, id, fail(lease)).await), expected);
    }
    let record = store.get(id, None, false).await.unwrap().unwrap();
    let kinds: Vec<bool> = record.tries.iter().map(|tried| matches!(tried.kind, TryKind::Failed(_))).collect();
    assert_eq!(kinds, [false, true, true]);
    assert_eq!(record.tries.iter().map(|tried| tried.attempt).collect::<Vec<_>>(), [1, 1, 2]);
    let Standing::Ended(ended) = record.standing else { panic!("it has ended") };
    assert_eq!((ended.outcome, ended.lost, ended.attempt), (Outcome::Dead(busy()), 1, 2));
}

pub(crate) async fn a_fence_that_was_not_given_up_is_remembered_until_state_knows(store: Port) {
    let lone = accept_new(&store).await;
    let (_, held) = claim(&store, lone).await.unwrap();
    settle(&store, lone, cancel()).await;
    let member = in_session("s");
    accept(&store, &member).await;
    let (lease, lost) = claim(&store, member.id).await.unwrap();
    settle(&store, member.id, lose(lease)).await;
    assert_eq!(store.raises(0, 10).await.unwrap().len(), 1, "it may still be taken over");
    let lease = leased(&store, member.id).await;
    settle(&store, member.id, complete(lease)).await;

    let raises = store.raises(0, 10).await.unwrap();
    let scopes: Vec<_> = raises.iter().map(|raise| (raise.tenant.as_str(), raise.scope.clone(), raise.fence)).collect();
    let expected =
        [("t", RaiseScope::Invocation(lone), held.live.fence), ("t", RaiseScope::Session("s".into()), lost.live.fence)];
    assert_eq!(scopes, expected);
    assert_eq!(store.raises(0, 1).await.unwrap(), raises[..1]);
    one(&store, Command::ForgetRaises(vec![raises[0].raise])).await;
    assert_eq!(store.raises(0, 10).await.unwrap(), raises[1..]);
}

pub(crate) async fn commands_of_one_batch_take_effect_in_their_order(store: Port) {
    let (accepted, lease) = (accepted(), Uuid::now_v7());
    let id = accepted.id;
    let answers = batch(
        &store,
        vec![
            accept_command(&accepted),
            claim_command(id, lease, NOW),
            settle_command(id, complete(lease)),
            settle_command(id, cancel()),
        ],
    )
    .await;
    let [Answer::Accepted(_), Answer::Claimed(Some(_)), Answer::Settled(first), Answer::Settled(second)] = &answers[..]
    else {
        panic!("{answers:?}")
    };
    assert!(matches!(**first, Settlement::Now { .. }));
    assert!(matches!(**second, Settlement::Refused(Gone::Ended(Status::Succeeded))));
}
