use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::load::{Answer, Arrivals, Caller, Outcome, Pool, offer};

/// What each of the busy tenants has in hand.
const IN_HAND: usize = 4;

/// Each tenant submits now and then, whatever became of what it submitted before: so many a second together.
pub(super) async fn light(tenants: &[Caller], per_s: f64, length: Duration) -> Vec<Vec<Answer>> {
    let each = per_s / tenants.len() as f64;
    let offered = tenants.iter().map(|caller| offer(Arrivals::new(each, length), || caller.submit()));
    join_all(offered).await.into_iter().map(|offered| offered.answers).collect()
}

/// Each tenant always has the same number in hand: as one has ended, it submits the next.
pub(super) async fn busy(tenants: &[Caller], pool: &Pool, length: Duration) -> Vec<Vec<Answer>> {
    let until = Instant::now() + length;
    let one_by_one = async |caller: &Caller| {
        let mut answers = Vec::new();
        while Instant::now() < until {
            let answer = caller.submit().await;
            if answer.outcome == Outcome::Accepted {
                pool.ended(answer.number).await;
            }
            answers.push(answer);
        }
        answers
    };
    let each = async |caller: &Caller| join_all((0..IN_HAND).map(|_| one_by_one(caller))).await.concat();
    join_all(tenants.iter().map(each)).await
}
