//! Fences that are forgotten while the Redis has copies of them.

use super::*;
use crate::{
    domain::Standing,
    store::{FenceScope, postgres::upkeep::forget_fences},
    write::Holder,
};

/// A shard's copy of a fence outlives the fence.
#[tokio::test]
async fn a_superseded_holder_writes_nothing_though_its_fence_is_forgotten() {
    let ground = Ground::start().await;
    let one = ground.process().await;
    one.until_decided_in(true).await;
    let scope = FenceScope { tenant: "acme".into(), name: "session:s".into() };
    let holder = |number, lease: &str| Holder { scope: scope.clone(), number, lease: lease.into() };
    let (old, new) = (holder(5, "old"), holder(7, "new"));
    let write = |key| command(key, Precondition::Absent, "1", Durability::Durable);
    one.write(&write("first"), Some(&old)).await.expect("it holds");
    let config = Config { decider_lease: Span::from_secs(2), ..Config::default() };
    let database = Postgres::join(&ground.postgres.url(), &config).await.expect("the database is there");
    forget_fences(database.store(), 6, Duration::ZERO).await.expect("the database is there");
    let known = async {
        loop {
            let news = one.engine.lease.news();
            if one.engine.lease.known().is_some_and(|deciding| deciding.fence_floor == 6) {
                return;
            }
            news.await;
        }
    };
    timeout(PATIENCE, known).await.expect("the floor is known by now");
    one.register_fence(&new).await.expect("nobody remembers a newer one");
    let late = one.write(&write("second"), Some(&old)).await;
    assert!(matches!(late, Err(Failed::Fenced(Standing::TooOld))), "{late:?}");
    one.write(&write("second"), Some(&new)).await.expect("it holds");
}
