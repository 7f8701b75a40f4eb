//! Lists by filter.

use std::collections::HashMap;
use std::time::Duration;

use holdfast_proto::queue::v1::{CompleteRequest, InvocationSpec, InvocationState, ListInvocationsRequest};
use holdfast_rpc::{status, time};
use tonic::Code;

use crate::harness::{Harness, as_tenant, in_future, in_session, spec};

fn labels(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Harness {
    async fn list(&self, request: ListInvocationsRequest) -> Vec<String> {
        let page = self.client().list_invocations(as_tenant(request, "default")).await.unwrap().into_inner();
        page.invocations.into_iter().map(|invocation| invocation.id).collect()
    }
}

#[tokio::test]
async fn labels_must_all_match() {
    let queue = Harness::start().await;
    let marked = |pairs: &[(&str, &str)]| InvocationSpec { labels: labels(pairs), ..spec() };
    let both = queue.enqueue(marked(&[("team", "risk"), ("env", "test")])).await;
    let one = queue.enqueue(marked(&[("team", "risk")])).await;
    queue.enqueue(marked(&[("team", "care"), ("env", "test")])).await;
    queue.enqueue(spec()).await;
    let list = |pairs: &[(&str, &str)]| ListInvocationsRequest { labels: labels(pairs), ..Default::default() };
    assert_eq!(queue.list(list(&[("team", "risk")])).await, [one, both.clone()]);
    assert_eq!(queue.list(list(&[("team", "risk"), ("env", "test")])).await, [both]);
    assert!(queue.list(list(&[("team", "")])).await.is_empty());
    let nameless = queue.client().list_invocations(list(&[("", "x")])).await.unwrap_err();
    assert_eq!((nameless.code(), status::field(&nameless).as_deref()), (Code::InvalidArgument, Some("labels")));
}

#[tokio::test]
async fn times_of_acceptance_and_end_bound_a_list() {
    let queue = Harness::start().await;
    let first = queue.enqueue(spec()).await;
    let token = queue.lease_one().await.token;
    queue.client().complete(CompleteRequest { token, ..Default::default() }).await.unwrap();
    let second = queue.enqueue(spec()).await;
    let (one, other) = (queue.get(&first).await, queue.get(&second).await);
    let since = ListInvocationsRequest { created_after: other.created_at, ..Default::default() };
    assert_eq!(queue.list(since).await, [second.as_str()], "from the time on");
    let until = ListInvocationsRequest { created_before: other.created_at, ..Default::default() };
    assert_eq!(queue.list(until).await, [first.as_str()], "before the time");
    let ended = ListInvocationsRequest { ended_after: one.ended_at, ..Default::default() };
    assert_eq!(queue.list(ended).await, [first.as_str()]);
    let micros = time::micros(&one.ended_at.unwrap()).unwrap();
    let past_it = Some(time::timestamp(micros + 1));
    assert!(queue.list(ListInvocationsRequest { ended_after: past_it, ..Default::default() }).await.is_empty());
    let future = Some(in_future(Duration::from_secs(60)));
    assert!(queue.list(ListInvocationsRequest { created_after: future, ..Default::default() }).await.is_empty());
}

#[tokio::test]
async fn filters_and_pages_go_together() {
    let mut queue = Harness::start().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        let spec = in_session(if n % 2 == 0 { "even" } else { "odd" });
        let id = queue.enqueue(InvocationSpec { labels: labels(&[("n", "x")]), ..spec }).await;
        if n % 2 == 0 {
            ids.push(id);
        }
    }
    ids.reverse();
    queue.restart().await;
    let mut request = ListInvocationsRequest {
        session: "even".into(),
        states: vec![InvocationState::Queued as i32],
        labels: labels(&[("n", "x")]),
        page_size: 3,
        ..Default::default()
    };
    let mut found = Vec::new();
    loop {
        let asked = as_tenant(request.clone(), "default");
        let page = queue.client().list_invocations(asked).await.unwrap().into_inner();
        found.extend(page.invocations.into_iter().map(|invocation| invocation.id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(found, ids);
}

#[tokio::test]
async fn a_page_of_large_ones_has_fewer_and_any_client_can_take_it() {
    let queue = Harness::start().await;
    let wide: HashMap<String, String> = (0..32).map(|n| (format!("l{n}"), "x".repeat(1_000))).collect();
    let mut all = Vec::new();
    for _ in 0..150 {
        all.push(queue.enqueue(InvocationSpec { labels: wide.clone(), ..spec() }).await);
    }
    let (mut seen, mut pages, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let request = ListInvocationsRequest { page_size: 1_000, page_token, ..Default::default() };
        let page =
            queue.client().list_invocations(as_tenant(request, "default")).await.expect("4 MiB at most").into_inner();
        seen.extend(page.invocations.into_iter().map(|invocation| invocation.id));
        (pages, page_token) = (pages + 1, page.next_page_token);
        if page_token.is_empty() {
            break;
        }
    }
    seen.reverse();
    assert_eq!((seen, pages), (all, 2));
}
