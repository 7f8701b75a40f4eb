use super::*;

pub(super) fn scope() -> FenceScope {
    FenceScope { tenant: "acme".into(), name: "session:s".into() }
}

pub(super) fn held(number: u64, lease: &str) -> Fence {
    Fence { number, lease: Some(lease.into()) }
}

const RAISED: Fence = Fence { number: HIGH + 1, lease: None };

/// A place in the middle of the numbers that a double tells apart no more.
const HIGH: u64 = (1 << 60) + 1;

impl Stage<'_> {
    async fn under(&self, fence: Fence) -> Taken {
        self.take(Moves { fence: Some((scope(), fence)), ..durable([to("k", u64::MAX)]) }).await
    }

    async fn holds(&self, fence: Fence) -> bool {
        // Its place is none that was ever given, so nothing is taken; but the fence is looked at first.
        matches!(self.under(fence).await, Taken::Changed)
    }

    async fn raise(&self, fence: &Fence) {
        self.place.raise_fence(self.shard, self.epoch, &scope(), fence).await.unwrap();
    }

    async fn fence_ticket(&self) -> Ticket {
        self.place.fence_ticket(self.shard, self.epoch, &scope()).await.unwrap()
    }

    async fn install_fence(&self, ticket: &Ticket, fence: &Fence) {
        self.place.install_fence(self.shard, self.epoch, &scope(), ticket, fence).await.unwrap();
    }
}

pub(super) async fn standing(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    stage.fill(&["k"]).await;
    assert!(matches!(stage.under(held(HIGH, "a")).await, Taken::FenceUnknown));
    let ticket = stage.fence_ticket().await;
    stage.install_fence(&ticket, &held(HIGH, "a")).await;
    assert!(stage.holds(held(HIGH, "a")).await);
    assert!(matches!(stage.under(held(HIGH, "b")).await, Taken::Fenced), "an equal fence of another lease");
    assert!(matches!(stage.under(held(HIGH - 1, "a")).await, Taken::Fenced));
    assert!(matches!(stage.under(held(HIGH + 1, "b")).await, Taken::FenceUnknown), "to be confirmed by its home");
    stage.raise(&held(HIGH - 1, "z")).await;
    stage.raise(&held(HIGH, "z")).await;
    assert!(stage.holds(held(HIGH, "a")).await, "it never falls");
    stage.raise(&held(HIGH + 1, "b")).await;
    assert!(stage.holds(held(HIGH + 1, "b")).await && !stage.holds(held(HIGH, "a")).await);
    stage.raise(&RAISED).await;
    assert!(matches!(stage.under(held(HIGH + 1, "b")).await, Taken::Fenced), "raised from outside, it is nobody's");
    stage.raise(&held(HIGH + 1, "b")).await;
    assert!(matches!(stage.under(held(HIGH + 1, "b")).await, Taken::Fenced));
    let written = Moves { fence: Some((scope(), held(HIGH + 2, "c"))), ..durable([to("k", 0)]) };
    stage.raise(&held(HIGH + 2, "c")).await;
    stage.taken(written).await;
}

pub(super) async fn overtaken(ground: &Ground) {
    let stage = Stage::open(&ground.place).await;
    let slow = stage.fence_ticket().await;
    assert_eq!(slow, stage.fence_ticket().await, "two who fill the same do not keep each other from it");
    stage.raise(&held(6, "b")).await;
    stage.install_fence(&slow, &held(9, "a")).await;
    assert!(stage.holds(held(6, "b")).await, "raising voids the tickets");
    stage.install_fence(&Ticket(Bytes::new()), &held(9, "a")).await;
    assert!(stage.holds(held(6, "b")).await);
    let ticket = stage.fence_ticket().await;
    stage.install_fence(&ticket, &held(5, "a")).await;
    assert!(stage.holds(held(6, "b")).await, "nor does a ticket lower it");
    let ticket = stage.fence_ticket().await;
    stage.install_fence(&ticket, &held(7, "c")).await;
    stage.install_fence(&ticket, &held(8, "d")).await;
    assert!(stage.holds(held(7, "c")).await, "a ticket is good for once");
}
