//! What every place must do, whatever it is made of.

mod bounds;
mod epochs;
mod fences;
mod fills;
mod writes;

use std::sync::Arc;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use uuid::Uuid;

use super::*;
use crate::domain::{Epochs, Value, Vector, Writer};

/// Each shard's share of the bytes in [`Ground::small`].
pub(crate) const SMALL_SHARE_BYTES: u64 = 64 << 10;

/// Where the checks are made. The life that answers is accepted.
pub(crate) struct Ground {
    /// With as much room as is needed.
    pub(crate) place: Arc<dyn Place>,
    /// With little.
    pub(crate) small: Arc<dyn Place>,
}

type Check = fn(&Ground) -> LocalBoxFuture<'_, ()>;

/// Every check, by the promise that it holds the place to.
const CHECKS: [(&str, Check); 21] = [
    ("nothing happens in an epoch that is not open", |g| Box::pin(epochs::closed(g))),
    ("opening again changes nothing, whatever happened since", |g| Box::pin(epochs::opened_once(g))),
    ("what survives is a whole prefix, and nothing comes behind it", |g| Box::pin(epochs::survivors(g))),
    ("a log that nobody asked for is kept when its epoch is cleared away", |g| Box::pin(epochs::cleared(g))),
    ("a write stands on what it was judged by", |g| Box::pin(writes::compare_and_set(g))),
    ("a batch is taken together or not at all", |g| Box::pin(writes::batches(g))),
    ("a DURABLE write is visible once it is stored, in order", |g| Box::pin(writes::stored_first(g))),
    ("a CACHED write is visible at once, never on top of a tip", |g| Box::pin(writes::seen_at_once(g))),
    ("CACHED writes end at the window, and begin where the store knows", |g| Box::pin(writes::window(g))),
    ("CACHED writes end at what the store knows may be lost", |g| Box::pin(writes::armed_window(g))),
    ("CACHED writes end while the oldest is too old", |g| Box::pin(writes::window_age(g))),
    ("a shard takes so much that is not stored, and one write in any case", |g| Box::pin(writes::crowded(g))),
    ("news of the dirty mark may cross on the way", |g| Box::pin(writes::arming(g))),
    ("a mark never goes back, and never beyond what was given", |g| Box::pin(writes::marks(g))),
    ("a write under a lock needs the lock", |g| Box::pin(writes::guarded(g))),
    ("every edition comes back as it was, from log and records", |g| Box::pin(fills::round_trip(g))),
    ("the log is read in pages of whole entries", |g| Box::pin(fills::pages(g))),
    ("a fill that was overtaken installs nothing", |g| Box::pin(fills::tickets(g))),
    ("a write needs its lease's fence, which never falls", |g| Box::pin(fences::standing(g))),
    ("a fence's copy that was overtaken is not installed", |g| Box::pin(fences::overtaken(g))),
    ("records take their share, and what is not stored stays", |g| Box::pin(bounds::share(g))),
];

/// Runs them all.
pub(crate) async fn check(ground: &Ground) {
    for (promise, check) in CHECKS {
        eprintln!("{promise}");
        check(ground).await;
    }
}

/// A shard that is open for a new epoch, as one check sees it.
struct Stage<'g> {
    place: &'g dyn Place,
    shard: ShardId,
    epoch: EpochId,
}

/// The window of a shard that is armed.
const WIDE: Bound = Bound { writes: 1_000, bytes: 1 << 20 };

/// Where its log begins: far up, as in a store that has lived for long.
const BEGIN: Seq = 1 << 40;

impl<'g> Stage<'g> {
    async fn open(place: &'g Arc<dyn Place>) -> Self {
        let stage = Self { place: &**place, shard: at("").shard(), epoch: EpochId(rand::random()) };
        stage.place.open(stage.shard, stage.epoch, BEGIN).await.unwrap();
        stage
    }

    /// The same shard in a new epoch, which is not open.
    fn elsewhere(&self) -> Self {
        Self { epoch: EpochId(rand::random()), ..*self }
    }

    async fn look(&self, key: &str) -> Seen {
        self.place.look(self.shard, self.epoch, &[at(key)]).await.unwrap().remove(0)
    }

    /// The places of what is visible and of the tip; 0 for none.
    async fn stands(&self, key: &str) -> Option<(Seq, Seq)> {
        let seq = |edition: Option<Arc<Edition>>| edition.map_or(0, |edition| edition.seq);
        match self.look(key).await {
            Seen::Missing => None,
            Seen::Here { visible, tip } => Some((seq(visible), seq(tip))),
        }
    }

    async fn take(&self, moves: Moves) -> Taken {
        self.place.take(self.shard, self.epoch, &moves).await.unwrap()
    }

    /// Takes a write that must be taken; the last of its places.
    async fn taken(&self, moves: Moves) -> Seq {
        match self.take(moves).await {
            Taken::Taken(places) => *places.last().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn fill(&self, keys: &[&str]) {
        let addresses: Vec<_> = keys.iter().map(|key| at(key)).collect();
        let tickets = self.place.tickets(self.shard, self.epoch, &addresses).await.unwrap();
        let found: Vec<_> =
            addresses.into_iter().zip(tickets).map(|(address, ticket)| (address, ticket, None)).collect();
        self.place.install(self.shard, self.epoch, &found).await.unwrap();
    }

    async fn mark(&self, stored: Seq) {
        self.place.mark(self.shard, self.epoch, stored).await.unwrap();
    }

    async fn arm(&self, at: Seq, armed: bool) -> bool {
        self.arm_with(at, armed.then_some(WIDE)).await
    }

    async fn arm_with(&self, at: Seq, armed: Option<Bound>) -> bool {
        self.place.arm(self.shard, self.epoch, at, armed).await.unwrap()
    }

    async fn standing(&self) -> Standing {
        self.place.standing(self.shard, self.epoch).await.unwrap()
    }

    /// The places in the log, by entry.
    async fn log(&self, after: Seq, bytes: usize) -> Vec<Vec<Seq>> {
        places(self.place.log(self.shard, self.epoch, after, bytes).await.unwrap())
    }
}

fn places(log: Vec<Logged>) -> Vec<Vec<Seq>> {
    log.into_iter().map(|entry| entry.editions.iter().map(|(_, edition)| edition.seq).collect()).collect()
}

fn is_closed<T>(told: &Result<T, Trouble>) -> bool {
    matches!(told, Err(Trouble::Closed))
}

fn at(key: &str) -> Address {
    let key = if key.is_empty() { "k" } else { key };
    Address::new("acme", "n", "p", key).unwrap()
}

/// What a record becomes: its revision, and so many bytes of content.
fn edition(revision: u64, bytes: usize) -> Edition {
    Edition {
        record: 0,
        seq: 0,
        previous: 0,
        revision,
        vector: Vector::default().next(&Epochs::new(EpochId(9))),
        value: Some(Value { data: Bytes::from(vec![b'v'; bytes]), content_type: "".into() }),
        writer: Writer { write_id: Uuid::from_u128(revision.into()), invocation_id: "".into(), time: 7 },
        blind: false,
        expires: None,
    }
}

fn to(key: &str, expected: Seq) -> Move {
    Move { address: at(key), expected, edition: edition(1, 10) }
}

fn durable(moves: impl IntoIterator<Item = Move>) -> Moves {
    Moves {
        moves: moves.into_iter().collect(),
        guard: None,
        fence: None,
        cached: false,
        window_writes: 0,
        window_bytes: 0,
        window_age: Duration::ZERO,
        unstored_bytes: 1 << 30,
    }
}

/// CACHED, with a window that is wide.
fn cached(moves: impl IntoIterator<Item = Move>) -> Moves {
    let age = Duration::from_secs(3_600);
    Moves { cached: true, window_writes: WIDE.writes, window_bytes: WIDE.bytes, window_age: age, ..durable(moves) }
}
