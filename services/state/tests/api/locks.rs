use std::time::Duration;

use holdfast_config::Document;
use holdfast_proto::state::v1 as pb;
use holdfast_rpc::{
    client::{for_tenant, with_lease},
    lease::LeaseToken,
    service::Settings as _,
    status, time,
};
use holdfast_state::Config;
use tokio::time::timeout;
use tonic::{Code, Request, Response, Status};

use crate::harness::*;

/// What is to come comes within this time, or the test fails.
const SOON: Duration = Duration::from_secs(15);
const LONG: u64 = 60_000;

pub(crate) fn acquire(name: &str, wait_ms: u64) -> pb::AcquireLockRequest {
    pb::AcquireLockRequest {
        namespace: "accounts".into(),
        partition: "C-1".into(),
        name: name.into(),
        wait: Some(time::duration(Duration::from_millis(wait_ms))),
        ..Default::default()
    }
}

fn renewal(name: &str, fence: u64) -> pb::RenewLockRequest {
    pb::RenewLockRequest { namespace: "accounts".into(), partition: "C-1".into(), name: name.into(), fence }
}

fn giving_back(name: &str, fence: u64) -> pb::ReleaseLockRequest {
    pb::ReleaseLockRequest { namespace: "accounts".into(), partition: "C-1".into(), name: name.into(), fence }
}

fn ours<T>(request: T) -> Request<T> {
    for_tenant(Request::new(request), "acme").expect("ASCII")
}

async fn take(state: &Harness, request: pb::AcquireLockRequest) -> Result<pb::Lock, Status> {
    let answer = state.client.clone().acquire_lock(ours(request)).await?;
    Ok(answer.into_inner().lock.expect("filled"))
}

async fn renew(state: &Harness, name: &str, fence: u64) -> Result<(), Status> {
    state.client.clone().renew_lock(ours(renewal(name, fence))).await.map(drop)
}

async fn release(state: &Harness, name: &str, fence: u64) -> Result<(), Status> {
    state.client.clone().release_lock(ours(giving_back(name, fence))).await.map(drop)
}

async fn locks(state: &Harness, page_size: u32, page_token: &str) -> Result<pb::ListLocksResponse, Status> {
    let request = pb::ListLocksRequest {
        namespace: "accounts".into(),
        partition: "C-1".into(),
        page_size,
        page_token: page_token.into(),
    };
    state.client.clone().list_locks(ours(request)).await.map(Response::into_inner)
}

fn names(page: &pb::ListLocksResponse) -> Vec<&str> {
    page.locks.iter().map(|lock| lock.name.as_str()).collect()
}

fn under(put: pb::PutRequest, lock: &pb::Lock) -> pb::PutRequest {
    let guard = pb::LockGuard { name: lock.name.clone(), fence: lock.fence };
    pb::PutRequest { lock: Some(guard), precondition: overwrite(), ..put }
}

fn reason(refused: &Status) -> (Code, Option<String>) {
    (refused.code(), status::reason(refused))
}

fn precondition(reason: &str) -> (Code, Option<String>) {
    (Code::FailedPrecondition, Some(reason.into()))
}

/// Returns once so many stand in line for the only lock.
async fn in_line(state: &Harness, many: u32) {
    let look = async {
        while locks(state, 0, "").await.expect("readable").locks[0].waiting != many {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, look).await.expect("they line up");
}

#[tokio::test]
async fn a_lock_is_one_holders_until_it_is_given_back() {
    let state = Harness::start().await;
    let first = take(&state, acquire("l", 0)).await.unwrap();
    assert!(first.fence > 0 && first.acquire_time.is_some());
    assert_eq!((first.name.as_str(), first.holder.as_str(), first.waiting), ("l", "mesh", 0));
    assert_eq!(first.ttl, Some(time::duration(Duration::from_secs(30))), "where none is asked for");
    let refused = take(&state, acquire("l", 0)).await.unwrap_err();
    assert_eq!(reason(&refused), precondition("LOCK_HELD"));
    assert!(status::retry_after(&refused).is_some() && !status::may_have_happened(&refused));
    take(&state, acquire("other", 0)).await.expect("each lock is its own");

    renew(&state, "l", first.fence).await.unwrap();
    release(&state, "l", first.fence).await.unwrap();
    release(&state, "l", first.fence).await.expect("giving back what is lost is no error");
    assert_eq!(reason(&renew(&state, "l", first.fence).await.unwrap_err()), precondition("LOCK_LOST"));
    let second = take(&state, acquire("l", 0)).await.unwrap();
    assert!(second.fence > first.fence);
    release(&state, "l", first.fence).await.unwrap();
    renew(&state, "l", second.fence).await.expect("an old holder gives nothing back that is another's");
}

#[tokio::test]
async fn who_waits_has_it_in_the_order_of_the_line() {
    let state = Harness::start().await;
    let held = take(&state, acquire("l", 0)).await.unwrap();
    let (sender, mut order) = tokio::sync::mpsc::unbounded_channel();
    for place in 0..5_u32 {
        let (client, sender) = (state.client.clone(), sender.clone());
        tokio::spawn(async move {
            let lock = client.clone().acquire_lock(ours(acquire("l", LONG))).await.expect("its turn comes");
            sender.send((place, lock.into_inner().lock.expect("filled").fence)).expect("the test waits");
        });
        in_line(&state, place + 1).await;
    }
    release(&state, "l", held.fence).await.unwrap();
    let mut before = held.fence;
    for place in 0..5 {
        let (who, fence) = timeout(SOON, order.recv()).await.expect("in time").expect("a holder");
        assert_eq!(who, place);
        assert!(fence > before, "{fence} after {before}");
        before = fence;
        release(&state, "l", fence).await.unwrap();
    }
}

#[tokio::test]
async fn a_wait_ends_when_it_was_to() {
    let state = Harness::start().await;
    take(&state, acquire("l", 0)).await.unwrap();
    let refused = timeout(SOON, take(&state, acquire("l", 300))).await.expect("in time").unwrap_err();
    assert_eq!(reason(&refused), precondition("LOCK_HELD"));
    in_line(&state, 0).await;

    let mut request = ours(acquire("l", LONG));
    request.set_timeout(Duration::from_millis(300));
    let late = timeout(SOON, state.client.clone().acquire_lock(request)).await.expect("in time").unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    in_line(&state, 0).await;
}

#[tokio::test]
async fn a_repeat_has_the_lock_that_it_has_already() {
    let state = Harness::start().await;
    let request = pb::AcquireLockRequest { request_id: uuid::Uuid::from_u128(7).to_string(), ..acquire("l", 0) };
    let first = take(&state, request.clone()).await.unwrap();
    let again = take(&state, request.clone()).await.unwrap();
    assert_eq!(again.fence, first.fence);
    release(&state, "l", first.fence).await.unwrap();
}

#[tokio::test]
async fn a_write_under_a_lock_is_taken_from_its_holder_only() {
    let state = Harness::start().await;
    let old = take(&state, acquire("l", 0)).await.unwrap();
    state.put(under(put("k", "old's", None), &old)).await.unwrap();
    release(&state, "l", old.fence).await.unwrap();
    let refused = state.put(under(put("k", "late", None), &old)).await.unwrap_err();
    assert_eq!(reason(&refused), precondition("LOCK_LOST"));

    let new = take(&state, acquire("l", 0)).await.unwrap();
    let guard = |lock: &pb::Lock| Some(pb::LockGuard { name: lock.name.clone(), fence: lock.fence });
    let batch = |lock| pb::BatchPutRequest {
        namespace: "accounts".into(),
        partition: "C-1".into(),
        writes: vec![pb::batch_put_request::Write {
            key: "k".into(),
            precondition: overwrite(),
            value: Some(value("batch")),
            ttl: None,
        }],
        lock: guard(lock),
        ..Default::default()
    };
    assert_eq!(reason(&state.batch(batch(&old)).await.unwrap_err()), precondition("LOCK_LOST"));
    let delete = |lock| pb::DeleteRequest {
        address: Some(address("k")),
        precondition: overwrite(),
        lock: guard(lock),
        ..Default::default()
    };
    assert_eq!(reason(&state.delete(delete(&old)).await.unwrap_err()), precondition("LOCK_LOST"));
    assert_eq!(data(&state.get("k").await.unwrap()), "old's", "nothing was written late");
    state.batch(batch(&new)).await.unwrap();
    state.delete(delete(&new)).await.unwrap();
    let ahead = pb::Lock { fence: new.fence + 1, ..new.clone() };
    assert_eq!(reason(&state.put(under(put("k", "x", None), &ahead)).await.unwrap_err()), precondition("LOCK_LOST"));
    let elsewhere = pb::PutRequest {
        address: Some(pb::Address { partition: "C-2".into(), ..address("k") }),
        ..under(put("k", "x", None), &new)
    };
    assert_eq!(
        reason(&state.put(elsewhere).await.unwrap_err()),
        precondition("LOCK_LOST"),
        "a lock is its partition's"
    );
}

#[tokio::test]
async fn a_lock_outlives_a_restart() {
    let state = Harness::start().await;
    let held = take(&state, acquire("l", 0)).await.unwrap();
    let state = state.restart().await;
    assert_eq!(reason(&take(&state, acquire("l", 0)).await.unwrap_err()), precondition("LOCK_HELD"));
    renew(&state, "l", held.fence).await.expect("its holder has it still");
    state.put(under(put("k", "1", None), &held)).await.unwrap();
    let state = state.crash().await;
    renew(&state, "l", held.fence).await.expect("also through a crash");
}

#[tokio::test]
async fn who_does_not_renew_loses_it_to_the_next_in_line() {
    let state = Harness::start().await;
    let short = pb::AcquireLockRequest { ttl: Some(time::duration(Duration::from_secs(1))), ..acquire("l", 0) };
    let lapsed = take(&state, short).await.unwrap();
    let next = timeout(SOON, take(&state, acquire("l", LONG))).await.expect("in time").unwrap();
    assert!(next.fence > lapsed.fence);
    assert_eq!(reason(&renew(&state, "l", lapsed.fence).await.unwrap_err()), precondition("LOCK_LOST"));
    let refused = state.put(under(put("k", "late", None), &lapsed)).await.unwrap_err();
    assert_eq!(reason(&refused), precondition("LOCK_LOST"));
}

#[tokio::test]
async fn locks_are_listed_by_name_page_by_page() {
    let state = Harness::start().await;
    for n in 0..5 {
        take(&state, acquire(&format!("l{n}"), 0)).await.unwrap();
    }
    let given_back = take(&state, acquire("l9", 0)).await.unwrap();
    release(&state, "l9", given_back.fence).await.unwrap();
    let first = locks(&state, 2, "").await.unwrap();
    assert_eq!(names(&first), ["l0", "l1"]);
    let second = locks(&state, 2, &first.next_page_token).await.unwrap();
    assert_eq!(names(&second), ["l2", "l3"]);
    let last = locks(&state, 2, &second.next_page_token).await.unwrap();
    assert_eq!((names(&last), last.next_page_token.as_str()), (vec!["l4"], ""), "what nobody holds is no lock");
}

#[tokio::test]
async fn locks_are_no_records_of_a_partition() {
    let state = Harness::start().await;
    let watch = pb::WatchRequest { namespace: "accounts".into(), partition: "C-1".into(), ..Default::default() };
    let mut changes = state.client.clone().watch(ours(watch)).await.unwrap().into_inner();
    changes.message().await.unwrap().expect("it is open");
    let held = take(&state, acquire("l", 0)).await.unwrap();
    release(&state, "l", held.fence).await.unwrap();
    state.make("k", "1").await;

    let shown = timeout(SOON, changes.message()).await.expect("in time").unwrap().expect("a change");
    let shown = shown.edition.expect("a change").record.expect("filled");
    assert_eq!(shown.address.expect("filled").key, "k", "a watch shows records");
    let list = pb::ListRequest { namespace: "accounts".into(), partition: "C-1".into(), ..Default::default() };
    assert_eq!(state.list(list).await.unwrap().records.len(), 1);
}

#[tokio::test]
async fn a_drain_ends_a_wait_with_a_word() {
    let state = Harness::start().await;
    take(&state, acquire("l", 0)).await.unwrap();
    let client = state.client.clone();
    let waiting = tokio::spawn(async move { client.clone().acquire_lock(ours(acquire("l", LONG))).await });
    in_line(&state, 1).await;
    let (ended, _) = tokio::join!(waiting, timeout(SOON, state.shut()));
    assert_come_back(&ended.expect("no panic").unwrap_err());
}

#[tokio::test]
async fn a_lock_is_its_tenants() {
    let state = Harness::start().await;
    let held = take(&state, acquire("l", 0)).await.unwrap();
    let mut client = state.client.clone();
    let theirs = |request| for_tenant(Request::new(request), "other").unwrap();
    let foreign = client.acquire_lock(theirs(acquire("l", 0))).await.expect("another's lock is another lock");
    let fence = foreign.into_inner().lock.unwrap().fence;
    let stolen = for_tenant(Request::new(giving_back("l", held.fence)), "other").unwrap();
    client.release_lock(stolen).await.unwrap();
    renew(&state, "l", held.fence).await.expect("nobody else gives it back");
    assert!(fence > 0);
}

/// Under a lease of acme's, as a worker.
fn leased<T>(state: &Harness, lease: &LeaseToken, request: T) -> Request<T> {
    let mut request = with_lease(Request::new(request), &state.leases.sign(lease)).expect("ASCII");
    request.metadata_mut().insert("holdfast-role", "worker".parse().expect("ASCII"));
    request
}

#[tokio::test]
async fn a_superseded_worker_takes_and_renews_no_lock() {
    let state = Harness::start().await;
    let now = time::now_micros().cast_unsigned();
    let (old, new) = (lease(now, "a"), lease(now + 1, "b"));
    let mut client = state.client.clone();
    let held = client.acquire_lock(leased(&state, &old, acquire("l", 0))).await.unwrap().into_inner().lock.unwrap();
    assert_eq!(held.holder, "inv-1", "the invocation holds it");
    state.register(&new).await.unwrap();

    let again = client.acquire_lock(leased(&state, &old, acquire("other", 0))).await.unwrap_err();
    assert_eq!(reason(&again), precondition("FENCED"));
    let renewed = client.renew_lock(leased(&state, &old, renewal("l", held.fence))).await.unwrap_err();
    assert_eq!(reason(&renewed), precondition("FENCED"));
    client.renew_lock(leased(&state, &new, renewal("l", held.fence))).await.expect("its fence is carried on");

    let mut bare = ours(acquire("l", 0));
    bare.metadata_mut().insert("holdfast-role", "worker".parse().unwrap());
    assert_eq!(reason(&client.acquire_lock(bare).await.unwrap_err()), precondition("LEASE_REQUIRED"));
}

#[tokio::test]
async fn who_may_not_write_somewhere_locks_nothing_there() {
    let document = Document::parse("t", "[state.namespaces.accounts]\nread_only = true\n", []).unwrap();
    let state = Harness::with(Config::from_document(&document).unwrap()).await;
    let mut client = state.client.clone();
    let as_caller = |namespace: &str| {
        let mut request = ours(pb::AcquireLockRequest { namespace: namespace.into(), ..acquire("l", 0) });
        request.metadata_mut().insert("holdfast-role", "caller".parse().unwrap());
        request
    };
    for namespace in ["accounts", "holdfast.steps"] {
        let refused = client.acquire_lock(as_caller(namespace)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{namespace}");
    }
    client.acquire_lock(as_caller("notes")).await.unwrap();
}

#[tokio::test]
async fn bad_requests_for_locks_name_their_field() {
    let state = Harness::start().await;
    let span = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    for (bad, field) in [
        (pb::AcquireLockRequest { namespace: String::new(), ..acquire("l", 0) }, "namespace"),
        (acquire("", 0), "name"),
        (acquire("a\nb", 0), "name"),
        (pb::AcquireLockRequest { ttl: span(0), ..acquire("l", 0) }, "ttl"),
        (pb::AcquireLockRequest { ttl: span(3_601), ..acquire("l", 0) }, "ttl"),
        (pb::AcquireLockRequest { wait: span(-1), ..acquire("l", 0) }, "wait"),
        (pb::AcquireLockRequest { wait: span(3_601), ..acquire("l", 0) }, "wait"),
        (pb::AcquireLockRequest { request_id: "7".into(), ..acquire("l", 0) }, "request_id"),
    ] {
        let refused = take(&state, bad).await.unwrap_err();
        assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some(field)));
    }
    assert_eq!(status::field(&renew(&state, "l", 0).await.unwrap_err()).as_deref(), Some("fence"));
    assert_eq!(status::field(&release(&state, "", 1).await.unwrap_err()).as_deref(), Some("name"));
    assert_eq!(status::field(&locks(&state, 1_001, "").await.unwrap_err()).as_deref(), Some("page_size"));
    for (name, fence, field) in [("l", 0, "lock.fence"), ("", 1, "lock.name"), ("a\0b", 1, "lock.name")] {
        let bad = pb::PutRequest { lock: Some(pb::LockGuard { name: name.into(), fence }), ..put("k", "1", None) };
        let refused = state.put(bad).await.unwrap_err();
        assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some(field)));
    }
}

#[tokio::test]
async fn no_fence_is_given_twice_though_what_was_known_of_the_lock_is_forgotten() {
    const EIGHT_DAYS: i64 = 8 * 24 * 3_600 * 1_000_000;
    let state = Harness::start().await;
    let mut last = 0;
    for _ in 0..3 {
        let fence = take(&state, acquire("field", 0)).await.unwrap().fence;
        release(&state, "field", fence).await.unwrap();
        assert!(fence > last, "{fence} after {last}");
        last = fence;
    }
    state.upkeep_later(EIGHT_DAYS).await;
    assert_eq!(state.ask("SELECT count(*) FROM records").await, 0, "it is forgotten");
    let fence = take(&state, acquire("field", 0)).await.unwrap().fence;
    assert!(fence > last, "{fence} after {last}");
}
