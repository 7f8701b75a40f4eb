//! Random lives of calls: whatever happens, the bookkeeping returns to nothing and nobody is forgotten.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Open { key: bool, waits: bool },
    Take,
    Accept(usize),
    End(usize),
    Refuse(usize),
    Leave(usize),
    Disconnect,
    MoveOn,
    Connect,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), any::<bool>()).prop_map(|(key, waits)| Step::Open { key, waits }),
        3 => Just(Step::Take),
        2 => any::<usize>().prop_map(Step::Accept),
        2 => any::<usize>().prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::Refuse),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => Just(Step::Disconnect),
        1 => Just(Step::MoveOn),
        2 => Just(Step::Connect),
        1 => (0_u64..7).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn every_call_is_answered_exactly_once_and_nothing_leaks(steps in prop::collection::vec(step(), 1..120)) {
        let mut table = Table::connected();
        let mut open: Vec<(u64, bool, Outcome)> = Vec::new();
        let mut sent: HashMap<u64, usize> = HashMap::default();
        for step in steps {
            let pick = |index: usize| open.get(index % open.len().max(1)).map(|call| call.0);
            match step {
                Step::Open { key, waits } => {
                    if let Ok((id, outcome)) = table.try_open(if key { "k" } else { "" }, waits, 10) {
                        open.push((id, key, outcome));
                    }
                }
                Step::Take => for (id, ask) in table.take() {
                    if matches!(ask, Ask::Enqueue(_) | Ask::EnqueueAndWait(_)) {
                        *sent.entry(id).or_default() += 1;
                    }
                },
                Step::Accept(index) => if let Some(id) = pick(index) { table.accept(id) },
                Step::End(index) => if let Some(id) = pick(index) {
                    table.hear(id, Answer::Ended(Box::default()));
                },
                Step::Refuse(index) => if let Some(id) = pick(index) {
                    table.hear(id, Answer::Status(Bytes::new()));
                },
                Step::Leave(index) => if let Some(id) = pick(index) {
                    table.calls.close(id);
                    open.retain(|call| call.0 != id);
                },
                Step::Disconnect => table.disconnect(),
                Step::MoveOn => table.move_on(),
                Step::Connect if table.calls.is_up() => {}
                Step::Connect => table.calls.connected(table.now),
                Step::Pass(seconds) => table.now += Duration::from_secs(seconds),
            }
            open.retain_mut(|(id, key, outcome)| match outcome.try_recv() {
                Ok(Err(CallError::Unreachable { maybe_accepted, .. })) => {
                    assert_eq!(maybe_accepted, sent.contains_key(id), "honest about what was sent");
                    false
                }
                Ok(_) => false,
                Err(oneshot::error::TryRecvError::Empty) => {
                    let most = if *key { 2 } else { 1 };
                    assert!(sent.get(id).copied().unwrap_or(0) <= most, "without a key once, with one twice");
                    true
                }
                Err(oneshot::error::TryRecvError::Closed) => panic!("call {id} was dropped without an answer"),
            });
            prop_assert_eq!(table.calls.len(), open.len());
        }
        for (id, _, _) in &open {
            table.calls.close(*id);
        }
        prop_assert_eq!((table.calls.len(), table.calls.waits), (0, 0));
        prop_assert_eq!((table.calls.bytes.held(), table.tenant.held()), (0, 0));
    }
}
