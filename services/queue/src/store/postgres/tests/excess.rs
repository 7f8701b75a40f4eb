//! What is more than shall be kept.

use super::Shared;
use crate::domain::invocation::Accepted;
use crate::domain::time::Micros;
use crate::store::conformance::{Port, accept_command, accepted, batch};
use crate::store::{Change, Command, Litter, Settle, Sweep};

#[tokio::test]
async fn what_is_too_much_is_counted_in_pieces() {
    let server = Shared::start().await;
    let port: Port = server.process("s").await;
    let all: Vec<Accepted> = (0..100).map(|_| accepted()).collect();
    batch(&port, all.iter().map(accept_command).collect()).await;
    let end = |one: &Accepted| Command::Settle(Box::new(Settle { id: one.id, now: one.at, change: Change::Expire }));
    batch(&port, all.iter().map(end).collect()).await;

    let of =
        |keep| Sweep { litter: Litter::Excess { keep }, now: Micros::MAX, before: Micros::MAX, from: None, limit: 1 };
    let (mut sweep, mut counting, mut gone) = (of(90), 0, 0);
    loop {
        let swept = port.sweep(sweep).await.unwrap();
        gone += swept.removed;
        counting += usize::from(gone == 0);
        sweep.from = match swept.next {
            Some(next) => Some(next),
            None => break,
        };
    }
    assert_eq!(gone, 10);
    assert_eq!(counting, 2);
    for (place, one) in all.iter().enumerate() {
        assert_eq!(port.get(one.id, None, false).await.unwrap().is_some(), place >= 10, "{place}");
    }
    assert_eq!(port.sweep(of(90)).await.unwrap().removed, 0);
}
