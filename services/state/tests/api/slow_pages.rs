//! A page that is read in the middle of somebody else's commit.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use holdfast_state::{
    Config, Embedded, State,
    domain::{Address, Edition, Fence, Micros, Note, Partition, Precondition, RecordId, Trail, Value, Vector},
    store::{Changes, ChangesQuery, FenceScope, HistoryQuery, Opened, Page, PageQuery, Shelf, TrailQuery, sqlite},
    write::{Command, Durability, Write},
};
use holdfast_storage::Failure;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::gate::{Gate, Gated};

/// A shelf whose pages are read when the test says so.
struct SlowPages {
    shelf: Arc<dyn Shelf>,
    asked: Notify,
    go_on: Notify,
    read: Notify,
}

impl Shelf for SlowPages {
    fn page(&self, query: PageQuery) -> BoxFuture<'_, Result<Page, Failure>> {
        async move {
            self.asked.notify_one();
            self.go_on.notified().await;
            let page = self.shelf.page(query).await;
            self.read.notify_one();
            page
        }
        .boxed()
    }

    fn editions(&self, addresses: Vec<Address>) -> BoxFuture<'_, Result<Vec<Option<Edition>>, Failure>> {
        self.shelf.editions(addresses)
    }

    fn trail(&self, query: TrailQuery) -> BoxFuture<'_, Result<Trail, Failure>> {
        self.shelf.trail(query)
    }

    fn blind_write(&self, record: RecordId, write_id: Uuid) -> BoxFuture<'_, Result<Option<Note>, Failure>> {
        self.shelf.blind_write(record, write_id)
    }

    fn fence(&self, scope: FenceScope) -> BoxFuture<'_, Result<Option<Fence>, Failure>> {
        self.shelf.fence(scope)
    }

    fn newest_fence_below(&self, horizon: u64) -> BoxFuture<'_, Result<Option<u64>, Failure>> {
        self.shelf.newest_fence_below(horizon)
    }

    fn history(&self, query: HistoryQuery) -> BoxFuture<'_, Result<Vec<Edition>, Failure>> {
        self.shelf.history(query)
    }

    fn edition_at(&self, address: Address, vector: Vector) -> BoxFuture<'_, Result<Option<Edition>, Failure>> {
        self.shelf.edition_at(address, vector)
    }

    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes, Failure>> {
        self.shelf.changes(query)
    }

    fn expired(&self, now: Micros, most: usize) -> BoxFuture<'_, Result<Vec<(Address, Vector)>, Failure>> {
        self.shelf.expired(now, most)
    }

    fn tombstones(&self, horizon: Micros, most: usize) -> BoxFuture<'_, Result<Vec<Address>, Failure>> {
        self.shelf.tombstones(horizon, most)
    }
}

fn overwrite(data: &'static str) -> Command {
    let value = Value { data: data.into(), content_type: "".into() };
    Command {
        writes: vec![Write {
            address: address(),
            precondition: Precondition::Overwrite,
            value: Some(value),
            expires: None,
        }],
        guard: None,
        write_id: None,
        invocation_id: "".into(),
        durability: Durability::Durable,
        now: 0,
    }
}

fn address() -> Address {
    Address::new("acme", "n", "p", "k").unwrap()
}

#[tokio::test]
async fn a_list_shows_nothing_before_every_read_shows_it() {
    let directory = tempfile::tempdir().unwrap();
    let opened = sqlite::open(directory.path(), 0).unwrap();
    let gate = Gate::new();
    let pages =
        Arc::new(SlowPages { shelf: opened.shelf, asked: Notify::new(), go_on: Notify::new(), read: Notify::new() });
    let journal = Box::new(Gated { journal: opened.journal, gate: gate.clone() });
    let shelf = Arc::clone(&pages) as Arc<dyn Shelf>;
    let embedded = Embedded::start(Opened { journal, shelf, ..opened }, &Config::default()).unwrap();
    let state = State::over(Arc::new(embedded));
    state.write(&overwrite("1"), None).await.unwrap();

    let partition = Partition::new("acme", "n", "p").unwrap();
    let query = PageQuery { partition, prefix: String::new(), after: String::new(), records: 10, bytes: 1 << 20 };
    let list = tokio::spawn({
        let state = state.clone();
        async move { state.list(query).await }
    });
    pages.asked.notified().await;
    gate.hold_after_commit();
    let write = tokio::spawn({
        let state = state.clone();
        async move { state.write(&overwrite("2"), None).await.map(drop) }
    });
    gate.arrival().await;
    pages.go_on.notify_one();
    pages.read.notified().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let seen = state.get(&address()).await.unwrap().unwrap().revision;
    assert!(seen == 1 && !list.is_finished(), "the page shows a write that no read shows yet");

    gate.open();
    let page = list.await.unwrap().unwrap();
    assert_eq!(page.records[0].1.revision, 2);
    assert_eq!(state.get(&address()).await.unwrap().unwrap().revision, 2);
    write.await.unwrap().unwrap();
    state.decider().close().await;
}
