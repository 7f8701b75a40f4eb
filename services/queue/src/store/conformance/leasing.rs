use super::*;
use crate::domain::record::Phase;
use crate::store::{Adopt, AdoptFrom};

fn fence(claimed: &Claimed) -> u64 {
    claimed.live.lease().expect("it is leased").fence
}

async fn adopt(store: &Port, id: Uuid, lease: Uuid, from: Option<Uuid>, to: u128) -> bool {
    let (from, to) = (AdoptFrom::Stream(from), Some(Uuid::from_u128(to)));
    match one(store, Command::Adopt(Adopt { id, lease, from, to })).await {
        Answer::Adopted(adopted) => adopted.is_some(),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn a_claim_is_granted_once(store: Port) {
    let id = accept_new(&store).await;
    let commands = (0..5).map(|_| claim_command(id, Uuid::now_v7(), NOW)).collect();
    let answers = batch(&store, commands).await;
    let granted = answers.iter().filter(|answer| matches!(answer, Answer::Claimed(Some(_)))).count();
    assert_eq!(granted, 1);
    assert!(claim(&store, Uuid::now_v7()).await.is_none(), "nobody knows that one");
}

pub(crate) async fn a_session_has_one_holder_in_order(store: Port) {
    let (first, second) = (in_session("s"), in_session("s"));
    accept(&store, &first).await;
    accept(&store, &second).await;
    assert!(claim(&store, second.id).await.is_none(), "the first one waits");
    let lease = leased(&store, first.id).await;
    assert!(claim(&store, second.id).await.is_none(), "the first one runs");
    settle(&store, first.id, fail(lease)).await;
    assert!(claim(&store, second.id).await.is_none(), "the first one backs off");
    settle(&store, first.id, cancel()).await;
    assert!(claim(&store, second.id).await.is_some());
}

pub(crate) async fn fences_rise_within_a_session(store: Port) {
    let mut last = 0;
    for _ in 0..3 {
        let accepted = in_session("s");
        accept(&store, &accepted).await;
        for _ in 0..2 {
            // The clock stands still, and goes back for everybody but the fence.
            let (lease, claimed) = claim(&store, accepted.id).await.unwrap();
            assert!(fence(&claimed) > last);
            last = fence(&claimed);
            settle(&store, accepted.id, Change::Release { lease }).await;
        }
        settle(&store, accepted.id, cancel()).await;
    }
}

pub(crate) async fn adopting_and_freeing_compare_the_stream(store: Port) {
    let id = accept_new(&store).await;
    let lease = leased(&store, id).await;
    assert!(!adopt(&store, id, lease, None, 10).await, "it is another stream's");
    assert!(!adopt(&store, id, Uuid::now_v7(), stream(), 10).await, "it is another lease");
    assert!(adopt(&store, id, lease, stream(), 10).await);
    assert!(matches!(settle(&store, id, lose(lease)).await, Settlement::Refused(_)), "it has moved");
    assert!(adopt(&store, id, lease, Some(Uuid::from_u128(10)), 9).await);
    assert_eq!(became(settle(&store, id, lose(lease)).await), Status::Queued);
}

pub(crate) async fn a_claim_brings_the_input_where_it_is_wanted(store: Port) {
    let accepted = accepted();
    accept(&store, &accepted).await;
    let (lease, claimed) = claim(&store, accepted.id).await.unwrap();
    let (asked, input) = claimed.input.expect("it was wanted");
    assert_eq!((&*asked, input), (&accepted, payload("input")));
    assert!(matches!(claimed.live.phase, Phase::Leased(_)) && claimed.tries.is_empty());
    settle(&store, accepted.id, fail(lease)).await;
    let (_, claimed) = claim(&store, accepted.id).await.unwrap();
    assert_eq!((claimed.live.attempt, claimed.tries.len()), (2, 1));
}
