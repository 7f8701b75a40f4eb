//! The working set against a plain model of records: random commands and repeats of them, in batches, some of which are
//! never stored.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    domain::{EpochId, Value},
    write::{Durability, WrittenRecord},
};

const KEYS: u8 = 3;

/// A write by small numbers: which key, which precondition (a version is one that the record has had), whether it deletes.
type Draft = (u8, Want, bool);

#[derive(Debug, Clone, Copy)]
enum Want {
    Absent,
    Overwrite,
    /// So many writes before the newest.
    Version(usize),
}

#[derive(Debug, Clone)]
enum Event {
    New(Vec<Draft>),
    /// One of the commands before, again.
    Again(prop::sample::Index),
    /// The batch ends, and is stored or not.
    End(bool),
}

/// What is stored.
#[derive(Default, Clone)]
struct Store {
    records: HashMap<Address, Vec<Edition>>,
    position: Seq,
}

fn address(key: u8) -> Address {
    Address::new("acme", "n", "p", &key.to_string()).unwrap()
}

impl Store {
    fn newest(&self, address: &Address) -> Option<&Edition> {
        self.records.get(address)?.last()
    }

    fn set(&self, orders: &[Order], epochs: &Arc<Epochs>) -> Set {
        let mut set = Set::default();
        set.put_shard(address(0).shard(), Arc::clone(epochs), Vector::default(), self.position);
        for key in 0..KEYS {
            set.put_record(address(key), self.newest(&address(key)).cloned());
        }
        let writes = |order: &Order| {
            let command = Arc::clone(&order.command);
            (0..command.writes.len()).map(move |at| (command.writes[at].clone(), command.write_id.unwrap()))
        };
        for (write, id) in orders.iter().flat_map(writes) {
            let all = self.records.get(&write.address).into_iter().flatten();
            if let Some(blind) = all.into_iter().find(|edition| edition.blind && edition.writer.write_id == id) {
                set.put_blind(write.address.clone(), blind.into());
            }
        }
        set
    }

    fn keep(&mut self, set: &Set) {
        for Change { address, edition, creates } in set.changes() {
            assert_eq!(*creates, self.newest(address).is_none());
            assert_eq!(edition.previous, self.newest(address).map_or(0, |before| before.seq));
            self.position += 1;
            assert_eq!(edition.seq, self.position, "places leave no gap");
            self.records.entry(address.clone()).or_default().push((**edition).clone());
        }
        assert!(set.advances().all(|(_, _, last)| last == self.position));
    }

    fn command(&self, drafts: &[Draft], id: u128) -> Command {
        let mut writes: Vec<Write> = Vec::new();
        for (key, want, deletes) in drafts {
            let address = address(*key);
            if writes.iter().any(|write| write.address == address) {
                continue;
            }
            let precondition = match want {
                Want::Absent => Precondition::Absent,
                Want::Overwrite => Precondition::Overwrite,
                Want::Version(back) => {
                    let editions = self.records.get(&address).map_or(&[][..], |editions| editions);
                    let before = editions.iter().rev().nth(*back).map(|edition| edition.vector.clone());
                    Precondition::Version(before.unwrap_or_default())
                }
            };
            let value = (!deletes).then(|| Value { data: Bytes::new(), content_type: "".into() });
            writes.push(Write { address, precondition, value, expires: None });
        }
        Command {
            writes,
            guard: None,
            write_id: Some(Uuid::from_u128(id)),
            invocation_id: "".into(),
            durability: Durability::Durable,
            now: 0,
        }
    }
}

/// What the use case does with an order: asks again as often as it is told to.
fn settle(store: &Store, set: &mut Set, order: &mut Order) -> Answer {
    match set.decide(order) {
        Answer::Consult { heads, .. } => {
            let id = order.command.write_id.unwrap();
            let find = |write: &Write| {
                let all = store.records.get(&write.address)?;
                all.iter().find(|edition| edition.writer.write_id == id).map(WrittenRecord::from)
            };
            match order.command.writes.iter().map(find).collect() {
                Some(earlier) => Answer::Repeated(earlier),
                None => {
                    order.consulted = Some(heads);
                    set.decide(order)
                }
            }
        }
        answer => answer,
    }
}

/// Whether a command may be taken, said once more in other words.
fn may_pass(set: &Set, command: &Command) -> bool {
    command.writes.iter().all(|write| {
        let newest = set.newest(&write.address);
        let live = newest.is_some_and(|edition| edition.is_live());
        let held = newest.map(|edition| edition.vector.clone()).unwrap_or_default();
        let holds = match &write.precondition {
            Precondition::Absent => !live,
            Precondition::Overwrite => true,
            Precondition::Version(presented) => *presented == held,
        };
        holds && (live || write.value.is_some())
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let want = prop_oneof![Just(Want::Absent), Just(Want::Overwrite), (0_usize..3).prop_map(Want::Version)];
    let draft = (0..KEYS, want, any::<bool>());
    let event = prop_oneof![
        4 => prop::collection::vec(draft, 1..4).prop_map(Event::New),
        3 => any::<prop::sample::Index>().prop_map(Event::Again),
        2 => any::<bool>().prop_map(Event::End),
    ];
    prop::collection::vec(event, 1..60)
}

fn written(records: &[WrittenRecord]) -> Vec<(Vector, u64)> {
    records.iter().map(|record| (record.vector.clone(), record.revision)).collect()
}

proptest! {
    #[test]
    fn every_command_is_taken_once_by_the_state_that_it_names(events in events()) {
        let epochs = Arc::new(Epochs::new(EpochId(7)));
        let (mut store, mut issued, mut taken) = (Store::default(), Vec::new(), HashMap::new());
        let mut batch: Vec<Order> = Vec::new();
        for event in events.into_iter().chain([Event::End(true)]) {
            let stored = match event {
                Event::New(drafts) => {
                    issued.push(Arc::new(store.command(&drafts, issued.len() as u128)));
                    batch.extend(issued.last().map(order));
                    continue;
                }
                Event::Again(which) if !issued.is_empty() => {
                    batch.push(order(&issued[which.index(issued.len())]));
                    continue;
                }
                Event::Again(_) => continue,
                Event::End(stored) => stored,
            };
            let mut orders = std::mem::take(&mut batch);
            let (mut set, mut now) = (store.set(&orders, &epochs), taken.clone());
            for order in &mut orders {
                let (before, passes) = (set.changes().len(), may_pass(&set, &order.command));
                let id = order.command.write_id.unwrap();
                match settle(&store, &mut set, order) {
                    Answer::Taken(records) => {
                        prop_assert!(passes);
                        prop_assert_eq!(set.changes().len(), before + order.command.writes.len());
                        prop_assert!(now.insert(id, written(&records)).is_none(), "taken twice");
                    }
                    Answer::Repeated(records) => prop_assert_eq!(now.get(&id), Some(&written(&records))),
                    Answer::Late { .. } | Answer::Refused(_) => prop_assert!(!passes),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            if stored {
                store.keep(&set);
                taken = now;
            }
        }
        for editions in store.records.values() {
            prop_assert!(editions.iter().zip(1..).all(|(edition, revision)| edition.revision == revision));
            prop_assert!(editions.windows(2).all(|pair| pair[0].vector.total() < pair[1].vector.total()));
        }
    }
}

fn order(command: &Arc<Command>) -> Order {
    Order { command: Arc::clone(command), holder: None, consulted: None }
}
