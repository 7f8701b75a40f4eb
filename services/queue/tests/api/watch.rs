use holdfast_proto::queue::v1::invocation_event::{Event, Progress};
use holdfast_proto::queue::v1::report_progress_request::Event as Report;
use holdfast_proto::queue::v1::{
    CompleteRequest, FailRequest, Failure, InvocationEvent, InvocationState, ReportProgressRequest,
    WatchInvocationRequest, WatchInvocationResponse,
};
use holdfast_rpc::status;
use tonic::{Code, Streaming};

use crate::harness::{Harness, PATIENCE, spec};

impl Harness {
    pub(crate) async fn watch(&self, id: &str, from_offset: u64) -> Streaming<WatchInvocationResponse> {
        let request = WatchInvocationRequest { invocation_id: id.into(), from_offset };
        self.client().watch_invocation(request).await.unwrap().into_inner()
    }

    async fn report(&self, token: &str, event: Report) -> u64 {
        let request = ReportProgressRequest { token: token.into(), event: Some(event) };
        self.client().report_progress(request).await.unwrap().into_inner().offset
    }
}

async fn next(events: &mut Streaming<WatchInvocationResponse>) -> InvocationEvent {
    let message = tokio::time::timeout(PATIENCE, events.message()).await.expect("an event comes");
    message.unwrap().expect("the stream goes on").event.unwrap()
}

async fn rest(mut events: Streaming<WatchInvocationResponse>) -> Vec<InvocationEvent> {
    let mut all = Vec::new();
    while let Some(message) = tokio::time::timeout(PATIENCE, events.message()).await.expect("it ends").unwrap() {
        all.push(message.event.unwrap());
    }
    all
}

fn state(event: &InvocationEvent) -> InvocationState {
    match event.event.as_ref().unwrap() {
        Event::StateChanged(changed) => changed.state(),
        other => panic!("a change of state was expected, not {other:?}"),
    }
}

fn progress(message: &str) -> Report {
    Report::Progress(Progress { message: message.into(), fraction: Some(0.5) })
}

#[tokio::test]
async fn a_watcher_sees_every_event_as_it_comes_and_the_stream_ends_with_the_last() {
    let queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let mut events = queue.watch(&id, 0).await;
    assert_eq!(state(&next(&mut events).await), InvocationState::Queued);
    let lease = queue.lease_one().await;
    assert_eq!(state(&next(&mut events).await), InvocationState::Leased);
    assert_eq!(queue.report(&lease.token, progress("half")).await, 3);
    let told = next(&mut events).await;
    assert!(matches!(told.event, Some(Event::Progress(Progress { fraction: Some(0.5), .. }))));
    queue.report(&lease.token, Report::Chunk("text".into())).await;
    let Some(Event::Chunk(chunk)) = next(&mut events).await.event else { panic!("a chunk was expected") };
    assert_eq!((chunk.attempt, &chunk.data[..]), (1, &b"text"[..]));
    queue.client().complete(CompleteRequest { token: lease.token, ..Default::default() }).await.unwrap();
    let last = next(&mut events).await;
    assert_eq!((last.offset, state(&last)), (5, InvocationState::Succeeded));
    assert!(rest(events).await.is_empty());
}

#[tokio::test]
async fn a_late_subscriber_misses_nothing_and_can_begin_in_the_middle() {
    let mut queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    for n in 0..10 {
        queue.report(&lease.token, progress(&n.to_string())).await;
    }
    queue.client().complete(CompleteRequest { token: lease.token, ..Default::default() }).await.unwrap();
    queue.restart().await;
    let all = rest(queue.watch(&id, 0).await).await;
    let offsets: Vec<u64> = all.iter().map(|event| event.offset).collect();
    assert_eq!(offsets, (1..=13).collect::<Vec<_>>());
    assert!(all.iter().all(|event| event.time.is_some()));
    let tail = rest(queue.watch(&id, 7).await).await;
    assert_eq!(tail, all[6..]);
    assert!(rest(queue.watch(&id, 100).await).await.is_empty());
}

#[tokio::test]
async fn many_events_come_in_order_while_they_are_made() {
    let queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let watching = tokio::spawn(rest(queue.watch(&id, 0).await));
    let lease = queue.lease_one().await;
    for n in 0..300 {
        queue.report(&lease.token, Report::Chunk(vec![n as u8; 10].into())).await;
    }
    queue.client().complete(CompleteRequest { token: lease.token, ..Default::default() }).await.unwrap();
    let offsets: Vec<u64> = watching.await.unwrap().iter().map(|event| event.offset).collect();
    assert_eq!(offsets, (1..=303).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_workers_tell_is_bounded_by_number_and_bytes() {
    let queue = Harness::with("reports_max = 50\nreport_bytes_max = \"64KiB\"").await;
    let id = queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    for n in 0..200 {
        queue.report(&lease.token, progress(&n.to_string())).await;
    }
    for _ in 0..10 {
        queue.report(&lease.token, Report::Chunk(vec![0; 32 * 1_024].into())).await;
    }
    queue.client().complete(CompleteRequest { token: lease.token, ..Default::default() }).await.unwrap();
    let events = rest(queue.watch(&id, 0).await).await;
    let chunks = events.iter().filter(|event| matches!(event.event, Some(Event::Chunk(_)))).count();
    assert_eq!(chunks, 2, "the newest that fit are kept");
    assert!(events.len() < 50 + 32 + 3, "{}", events.len());
    let states = events.iter().filter(|event| matches!(event.event, Some(Event::StateChanged(_)))).count();
    assert_eq!(states, 3, "the durable history is whole");
    let dropped = events.iter().map(|event| match &event.event {
        Some(Event::Dropped(dropped)) => dropped.count,
        _ => 0,
    });
    let gaps = events.iter().filter(|event| matches!(event.event, Some(Event::Dropped(_)))).count();
    assert_eq!(dropped.sum::<u64>() as usize + events.len() - gaps, 3 + 210, "and nothing is missing silently");
}

#[tokio::test]
async fn only_the_holder_adds_events() {
    let queue = Harness::with("chunk_max = \"1KiB\"").await;
    queue.enqueue(spec()).await;
    let token = queue.lease_one().await.token;
    let large = ReportProgressRequest { token: token.clone(), event: Some(Report::Chunk(vec![0; 2_000].into())) };
    let refused = queue.client().report_progress(large).await.unwrap_err();
    assert_eq!(status::field(&refused).as_deref(), Some("chunk"));
    queue.client().complete(CompleteRequest { token: token.clone(), ..Default::default() }).await.unwrap();
    let late = ReportProgressRequest { token, event: Some(progress("late")) };
    let refused = queue.client().report_progress(late).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(status::reason(&refused).as_deref(), Some("LEASE_LOST"));
}

#[tokio::test]
async fn a_subscriber_comes_back_where_it_stopped_over_a_restart_and_over_attempts() {
    let mut queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let first = queue.lease_one().await;
    let mut events = queue.watch(&id, 0).await;
    for text in ["one", "two"] {
        queue.report(&first.token, Report::Chunk(text.into())).await;
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(next(&mut events).await);
    }
    // The connection breaks between the chunks.
    drop(events);
    queue.restart().await;
    let failure = Failure { reason: "BUSY".into(), message: String::new(), retryable: true };
    let failed = FailRequest { token: first.token, failure: Some(failure), usage: None };
    queue.client().fail(failed).await.unwrap();
    let second = queue.lease_one().await;
    queue.report(&second.token, Report::Chunk("three".into())).await;
    let mut events = queue.watch(&id, seen.len() as u64 + 1).await;
    for _ in 0..4 {
        seen.push(next(&mut events).await);
    }
    queue.client().complete(CompleteRequest { token: second.token, ..Default::default() }).await.unwrap();
    seen.extend(rest(events).await);

    let offsets: Vec<u64> = seen.iter().map(|event| event.offset).collect();
    assert_eq!(offsets, (1..=8).collect::<Vec<_>>());
    let chunks: Vec<_> = seen
        .iter()
        .filter_map(|event| match event.event.as_ref().unwrap() {
            Event::Chunk(chunk) => Some((chunk.attempt, chunk.data.to_vec())),
            _ => None,
        })
        .collect();
    assert_eq!(chunks, [(1, b"one".to_vec()), (1, b"two".to_vec()), (2, b"three".to_vec())]);
    assert_eq!(rest(queue.watch(&id, 0).await).await, seen, "a late subscriber sees the same");
}

#[tokio::test]
async fn a_subscriber_that_asks_for_what_is_dropped_is_told_so_and_goes_on() {
    let mut queue = Harness::with("reports_max = 10").await;
    let id = queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    // Nothing holds the worker up, though nobody reads.
    for n in 0..200 {
        queue.report(&lease.token, progress(&n.to_string())).await;
    }
    queue.restart().await;
    let mut events = queue.watch(&id, 50).await;
    let told = next(&mut events).await;
    let Some(Event::Dropped(dropped)) = &told.event else { panic!("{told:?}") };
    assert_eq!(dropped.first_offset, 50);
    let first = next(&mut events).await;
    assert_eq!((told.offset, dropped.first_offset + dropped.count), (first.offset - 1, first.offset));
    assert!(first.offset > 150, "the newest are kept");
    for offset in first.offset + 1..=202 {
        assert_eq!(next(&mut events).await.offset, offset);
    }
    queue.report(&lease.token, progress("more")).await;
    assert_eq!(next(&mut events).await.offset, 203, "and it goes on as it comes");
}
