use holdfast_rpc::status;
use http_body::Body as _;
use tokio::sync::mpsc;
use tonic::Code;

use super::*;
use crate::admission::{Admission, Kind, Terms};

/// A body that gives what is sent to it.
struct Fed(mpsc::UnboundedReceiver<Frame<Bytes>>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

struct Answer {
    feed: mpsc::UnboundedSender<Frame<Bytes>>,
    reading: Reading,
    outflow: Outflow,
}

impl Answer {
    fn open(slow: Slow) -> Self {
        let outflow = Outflow::new(100, 150, Duration::from_millis(300));
        Self::within(&outflow, slow)
    }

    fn within(outflow: &Outflow, slow: Slow) -> Self {
        Self::of("a", &Admission::under(Terms::WIDE), outflow, slow)
    }

    fn of(tenant: &str, admission: &Admission, outflow: &Outflow, slow: Slow) -> Self {
        let (feed, fed) = mpsc::unbounded_channel();
        let place = admission.admit(tenant, Kind::Wait).expect("there is room");
        let reading = open(outflow.clone(), Body::new(Fed(fed)), slow, place);
        Self { feed, reading, outflow: outflow.clone() }
    }

    fn say(&self, bytes: usize) {
        let _ = self.feed.send(Frame::data(vec![1; bytes].into()));
    }

    async fn read(&mut self) -> Option<Item> {
        poll_fn(|cx| Pin::new(&mut self.reading).poll_frame(cx)).await
    }

    /// The status with which it ends; everything before that is thrown away.
    async fn ended(&mut self) -> Status {
        loop {
            let frame = self.read().await.expect("it ends with a word").expect("no error");
            if let Some(trailers) = frame.trailers_ref() {
                assert!(self.read().await.is_none());
                return Status::from_header_map(trailers).expect("a status");
            }
        }
    }
}

/// Returns once so much is kept for readers.
async fn kept(outflow: &Outflow, bytes: usize) {
    while outflow.all.held() != bytes {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_read_in_time_passes_whole_and_in_order() {
    let mut answer = Answer::open(Slow::Dropped);
    for round in 0..10 {
        answer.say(90);
        answer.say(round);
        assert_eq!(bytes(&answer.read().await.expect("more").expect("no error")), 90);
        assert_eq!(bytes(&answer.read().await.expect("more").expect("no error")), round);
    }
    drop(answer.feed);
    let last = poll_fn(|cx| Pin::new(&mut answer.reading).poll_frame(cx)).await;
    assert!(last.is_none());
    assert_eq!(answer.outflow.all.held(), 0);
}

#[tokio::test]
async fn who_leaves_more_unread_than_may_be_is_told_so_and_nothing_is_kept_for_it() {
    let mut answer = Answer::open(Slow::Dropped);
    (0..3).for_each(|_| answer.say(40));
    answer.feed.closed().await;
    assert_eq!(answer.outflow.all.held(), 0);
    let told = answer.ended().await;
    assert_eq!(told.code(), Code::ResourceExhausted);
    assert!(status::retry_after(&told).is_some() && told.message().contains("unread_max"), "{told}");
}

#[tokio::test]
async fn one_frame_of_any_size_passes() {
    let mut answer = Answer::open(Slow::Dropped);
    answer.say(140);
    assert_eq!(bytes(&answer.read().await.expect("it is there").expect("no error")), 140);
}

#[tokio::test]
async fn all_readers_together_have_a_bound_too() {
    let outflow = Outflow::new(100, 150, Duration::from_secs(5));
    let (first, mut second) = (Answer::within(&outflow, Slow::Dropped), Answer::within(&outflow, Slow::Dropped));
    first.say(90);
    kept(&outflow, 90).await;
    second.say(61);
    assert_eq!(second.ended().await.code(), Code::ResourceExhausted);
    drop(first);
    assert_eq!(outflow.all.held(), 0);
    let mut third = Answer::within(&outflow, Slow::Dropped);
    third.say(100);
    assert!(third.read().await.is_some_and(|frame| frame.is_ok()), "there is room again");
}

#[tokio::test]
async fn one_tenants_readers_leave_room_for_anothers() {
    let outflow = Outflow::new(100, 150, Duration::from_secs(5));
    let admission = Admission::under(Terms { unread_bytes_max: 100, ..Terms::WIDE });
    let first = Answer::of("a", &admission, &outflow, Slow::Dropped);
    first.say(60);
    kept(&outflow, 60).await;
    let mut second = Answer::of("a", &admission, &outflow, Slow::Dropped);
    second.say(50);
    let told = second.ended().await;
    assert!(told.message().contains("tenant_unread_bytes_max"), "{told}");
    let mut other = Answer::of("b", &admission, &outflow, Slow::Dropped);
    other.say(90);
    assert_eq!(bytes(&other.read().await.expect("there is room").expect("no error")), 90);
}

#[tokio::test]
async fn a_reader_that_is_waited_for_goes_only_when_it_takes_nothing_at_all() {
    let mut answer = Answer::open(Slow::WaitedFor);
    (0..10).for_each(|_| answer.say(40));
    for _ in 0..10 {
        assert_eq!(bytes(&answer.read().await.expect("more").expect("no error")), 40);
    }
    (0..10).for_each(|_| answer.say(40));
    answer.feed.closed().await;
    let told = answer.ended().await;
    assert_eq!(told.code(), Code::ResourceExhausted);
    assert!(status::may_have_happened(&told), "a worker's, or a write's answer");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stands_still_gives_back_what_it_holds_however_little() {
    for slow in [Slow::Dropped, Slow::WaitedFor] {
        let mut answer = Answer::open(slow);
        answer.say(40);
        let began = Instant::now();
        answer.feed.closed().await;
        assert_eq!(began.elapsed().as_millis(), 300, "slow_max");
        assert_eq!(answer.outflow.all.held(), 0);
        assert_eq!(answer.ended().await.code(), Code::ResourceExhausted);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_unread_after_the_end_is_given_back_too() {
    let mut answer = Answer::open(Slow::WaitedFor);
    answer.say(40);
    drop(answer.feed);
    answer.feed = mpsc::unbounded_channel().0;
    tokio::time::sleep(Duration::from_millis(301)).await;
    assert_eq!(answer.outflow.all.held(), 0);
    assert_eq!(answer.ended().await.code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_a_little_now_and_then_stays_and_so_does_one_with_nothing_to_read() {
    let mut answer = Answer::open(Slow::Dropped);
    (0..2).for_each(|_| answer.say(40));
    for _ in 0..5 {
        tokio::time::advance(Duration::from_millis(299)).await;
        assert_eq!(bytes(&answer.read().await.expect("more").expect("no error")), 40);
        answer.say(40);
    }
    for _ in 0..2 {
        assert_eq!(bytes(&answer.read().await.expect("more").expect("no error")), 40);
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    answer.say(40);
    assert_eq!(bytes(&answer.read().await.expect("more").expect("no error")), 40);
}

#[tokio::test]
async fn a_reader_that_leaves_ends_everything() {
    let answer = Answer::open(Slow::WaitedFor);
    (0..10).for_each(|_| answer.say(40));
    kept(&answer.outflow, 80).await;
    drop(answer.reading);
    answer.feed.closed().await;
    assert_eq!(answer.outflow.all.held(), 0);
}
