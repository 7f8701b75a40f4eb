use holdfast_proto::state::v1 as pb;
use holdfast_rpc::status;
use tonic::{Code, Status};

use super::Several;
use crate::harness::*;

fn fenced<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let refused = answer.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert_eq!(status::reason(&refused).as_deref(), Some("FENCED"));
}

fn now() -> u64 {
    holdfast_rpc::time::now_micros() as u64
}

#[tokio::test]
async fn a_fence_that_is_raised_at_one_process_is_refused_at_every_other() {
    let state = Several::start(2).await;
    let held = lease(now(), "a");
    state.turn(0).register(&held).await.unwrap();
    state.turn(1).put_under(&held, put("k", "1", None)).await.unwrap();
    let raise = pb::RaiseFenceRequest {
        tenant: "acme".into(),
        session: "s-1".into(),
        invocation_id: String::new(),
        fence: held.fence,
    };
    state.turn(0).raise(raise).await.unwrap();
    for process in &state.processes {
        fenced(process.put_under(&held, put("other", "1", None)).await);
        fenced(process.register(&held).await);
    }
}

#[tokio::test]
async fn no_write_of_a_superseded_lease_follows_the_registration_of_the_next() {
    let state = Several::start(2).await;
    let mut held = lease(now(), "0");
    state.turn(0).register(&held).await.unwrap();
    for n in 1..20 {
        let next = lease(held.fence + 1, &n.to_string());
        let writes = async {
            let mut taken = 0;
            while state.turn(n).put_under(&held, put(&format!("{n}/{taken}"), "1", None)).await.is_ok() {
                taken += 1;
            }
            taken
        };
        let takes_over = async {
            state.turn(n + 1).register(&next).await.unwrap();
            let list = pb::ListRequest {
                namespace: "accounts".into(),
                partition: "C-1".into(),
                key_prefix: format!("{n}/"),
                page_size: 1_000,
                ..Default::default()
            };
            state.turn(n + 1).list(list).await.unwrap().records.len()
        };
        let (taken, seen) = tokio::join!(writes, takes_over);
        assert_eq!(taken, seen, "what was written under the old lease was there when the new one was registered");
        held = next;
    }
}

#[tokio::test]
async fn of_two_leases_with_one_fence_one_is_registered() {
    let state = Several::start(2).await;
    let (one, other) = (lease(now(), "one"), lease(now(), "other"));
    let other = holdfast_rpc::lease::LeaseToken { fence: one.fence, ..other };
    let (first, second) = tokio::join!(state.turn(0).register(&one), state.turn(1).register(&other));
    assert_ne!(first.is_ok(), second.is_ok(), "{first:?} {second:?}");
    fenced(first.and(second));
}
