mod random;

use super::*;

const LIMITS: Limits = Limits {
    calls_max: 8,
    waits_max: 2,
    bytes_max: 10_000,
    message_calls_max: 4,
    message_bytes: 1_000,
    resend_within: Duration::from_secs(5),
};

impl Calls {
    fn is_up(&self) -> bool {
        matches!(self.connection, Connection::Up { .. })
    }
}

type Outcome = oneshot::Receiver<Result<Reply, CallError>>;

struct Table {
    calls: Calls,
    tenant: Arc<Account>,
    now: Instant,
}

impl Table {
    fn connected() -> Self {
        let now = Instant::now();
        let mut calls = Calls::new(LIMITS, now);
        calls.connected(now);
        Self { calls, tenant: Account::new(usize::MAX), now }
    }

    fn open(&mut self, idempotency_key: &str, waits: bool) -> (u64, Outcome) {
        self.try_open(idempotency_key, waits, 10).expect("there is room")
    }

    fn try_open(&mut self, key: &str, waits: bool, bytes: usize) -> Result<(u64, Outcome), CallError> {
        let spec = pb::InvocationSpec {
            agent: "mail".into(),
            idempotency_key: key.into(),
            payload: Some(pb::Payload { data: vec![b'1'; bytes].into(), content_type: String::new() }),
            ..Default::default()
        };
        let request = pb::EnqueueRequest { tenant: "default".into(), spec: Some(spec), traceparent: String::new() };
        let (reply, outcome) = oneshot::channel();
        Ok((self.calls.open(request, waits, &self.tenant, self.now, reply)?, outcome))
    }

    fn take(&mut self) -> Vec<(u64, Ask)> {
        let message = self.calls.take(self.now).unwrap_or_default();
        message.calls.into_iter().map(|call| (call.call_id, call.call.expect("every call says what to do"))).collect()
    }

    fn hear(&mut self, call_id: u64, answer: Answer) {
        self.calls.hear(vec![WireAnswer { call_id, answer: Some(answer) }], self.now);
    }

    fn accept(&mut self, call_id: u64) {
        let accepted = pb::EnqueueResponse { invocation_id: format!("inv-{call_id}"), created: true };
        self.hear(call_id, Answer::Accepted(accepted));
    }

    /// The stream broke, and the next is opened at once.
    fn move_on(&mut self) {
        self.calls.disconnected(self.now, self.now);
    }

    /// The queue says something.
    fn speak(&mut self) {
        self.calls.hear(Vec::new(), self.now);
    }

    fn disconnect(&mut self) {
        self.calls.disconnected(self.now, self.now + Duration::from_millis(200));
    }
}

fn failure(outcome: &mut Outcome) -> CallError {
    outcome.try_recv().expect("the call is answered").expect_err("by an error")
}

#[test]
fn whatever_waits_goes_out_in_one_message_within_its_bounds() {
    let mut table = Table::connected();
    for _ in 0..6 {
        let _ = table.open("", false);
    }
    assert_eq!(table.take().len(), 4, "message_calls_max");
    assert_eq!(table.take().len(), 2);
    assert!(table.take().is_empty());

    table.try_open("", false, 1_500).expect("there is room");
    table.try_open("", false, 10).expect("there is room");
    assert_eq!(table.take().len(), 1, "message_bytes");
    assert_eq!(table.take().len(), 1);
}

#[test]
fn answers_find_their_calls_in_any_order() {
    let mut table = Table::connected();
    let (first, mut first_outcome) = table.open("", false);
    let (second, mut second_outcome) = table.open("", false);
    table.take();
    table.accept(second);
    assert!(first_outcome.try_recv().is_err(), "not answered yet");
    let Ok(Ok(Reply::Accepted(accepted))) = second_outcome.try_recv() else { panic!("the second is accepted") };
    assert_eq!(accepted.invocation_id, format!("inv-{second}"));
    table.accept(first);
    assert!(first_outcome.try_recv().is_ok());
    assert_eq!(table.calls.len(), 0);
    assert_eq!(table.calls.bytes.held(), 0);
}

#[test]
fn while_the_queue_is_gone_calls_are_refused_with_the_time_of_the_next_attempt() {
    let mut table = Table::connected();
    table.disconnect();
    let refusal = table.try_open("", false, 10).expect_err("the queue is gone");
    assert_eq!(refusal, CallError::Unreachable { retry_after: Duration::from_millis(200), maybe_accepted: false });
}

#[test]
fn a_call_that_was_never_sent_is_refused_as_such() {
    let mut table = Table::connected();
    let (_, mut outcome) = table.open("key", false);
    table.disconnect();
    assert!(matches!(failure(&mut outcome), CallError::Unreachable { maybe_accepted: false, .. }));
}

#[test]
fn a_call_without_a_key_is_never_sent_twice_and_told_that_it_may_have_been_accepted() {
    let mut table = Table::connected();
    let (_, mut outcome) = table.open("", false);
    table.take();
    table.disconnect();
    assert!(matches!(failure(&mut outcome), CallError::Unreachable { maybe_accepted: true, .. }));
    table.calls.connected(table.now);
    assert!(table.take().is_empty());
}

#[test]
fn a_call_with_a_key_is_sent_again_and_answered_once() {
    let mut table = Table::connected();
    table.speak();
    let (id, mut outcome) = table.open("key", false);
    let sent = table.take();
    table.disconnect();
    assert!(outcome.try_recv().is_err(), "it waits for the queue");
    table.calls.connected(table.now);
    assert_eq!(table.take(), sent, "the same call, with the same key");
    table.accept(id);
    table.accept(id);
    assert!(matches!(outcome.try_recv(), Ok(Ok(Reply::Accepted(_)))));
}

#[test]
fn a_call_with_a_key_waits_for_the_queue_within_its_bound() {
    let mut table = Table::connected();
    table.speak();
    let (_, mut outcome) = table.open("key", false);
    table.take();
    table.disconnect();
    table.now += Duration::from_secs(4);
    table.disconnect();
    assert!(outcome.try_recv().is_err());
    table.now += Duration::from_secs(1);
    table.disconnect();
    assert!(matches!(failure(&mut outcome), CallError::Unreachable { maybe_accepted: true, .. }));
}

#[test]
fn a_queue_that_breaks_without_a_word_gets_no_call_twice() {
    let mut table = Table::connected();
    for _ in 0..20 {
        let (_, mut outcome) = table.open("key", false);
        assert_eq!(table.take().len(), 1, "each once");
        table.disconnect();
        assert!(matches!(failure(&mut outcome), CallError::Unreachable { maybe_accepted: true, .. }));
        table.calls.connected(table.now);
    }
}

#[test]
fn a_call_is_sent_twice_at_the_most_however_often_the_stream_breaks() {
    let mut table = Table::connected();
    let (_, mut outcome) = table.open("key", false);
    for _ in 0..2 {
        table.speak();
        assert_eq!(table.take().len(), 1);
        assert!(outcome.try_recv().is_err(), "it waits for its answer");
        table.disconnect();
        table.calls.connected(table.now);
    }
    assert!(matches!(failure(&mut outcome), CallError::Unreachable { maybe_accepted: true, .. }));
    assert!(table.take().is_empty());
}

#[test]
fn while_the_link_moves_to_another_queue_calls_wait_instead_of_being_refused() {
    let mut table = Table::connected();
    table.speak();
    let (unsent, _first) = table.open("", false);
    table.move_on();
    let (new, _second) = table.open("", false);
    assert!(table.take().is_empty(), "there is no stream");
    table.calls.connected(table.now);
    assert_eq!(table.take().iter().map(|(id, _)| *id).collect::<Vec<_>>(), [unsent, new]);
    let (_, mut third) = table.open("", false);
    table.move_on();
    table.disconnect();
    assert!(matches!(failure(&mut third), CallError::Unreachable { maybe_accepted: false, .. }), "no other was there");
}

#[test]
fn an_accepted_call_only_waits_again_after_a_break() {
    let mut table = Table::connected();
    let (id, mut outcome) = table.open("", true);
    table.take();
    table.accept(id);
    table.disconnect();
    table.now += Duration::from_secs(3_600);
    table.disconnect();
    table.calls.connected(table.now);
    let wait = WaitRequest { tenant: "default".into(), invocation_id: format!("inv-{id}") };
    assert_eq!(table.take(), vec![(id, Ask::Wait(wait))]);
    table.hear(id, Answer::Ended(Box::new(pb::Invocation { id: format!("inv-{id}"), ..Default::default() })));
    assert!(matches!(outcome.try_recv(), Ok(Ok(Reply::Ended(_)))));
}

#[test]
fn a_refused_wait_still_names_its_invocation() {
    let mut table = Table::connected();
    let (id, mut outcome) = table.open("", true);
    table.take();
    table.accept(id);
    table.hear(id, Answer::Status(Bytes::from_static(b"no")));
    let CallError::Refused { invocation_id, .. } = failure(&mut outcome) else { panic!("refused") };
    assert_eq!(invocation_id, Some(format!("inv-{id}")));
}

#[test]
fn a_queue_that_cannot_wait_now_is_asked_again() {
    let mut table = Table::connected();
    let (id, mut outcome) = table.open("", true);
    table.take();
    table.accept(id);
    let draining = holdfast_rpc::Error::unavailable("draining", Duration::from_secs(1)).to_proto().encode_to_vec();
    table.hear(id, Answer::Status(draining.into()));
    assert!(outcome.try_recv().is_err(), "the wait goes on");
    assert!(table.take().is_empty(), "not at once");
    table.calls.unpark();
    let wait = WaitRequest { tenant: "default".into(), invocation_id: format!("inv-{id}") };
    assert_eq!(table.take(), vec![(id, Ask::Wait(wait))]);
    table.calls.unpark();
    assert!(table.take().is_empty(), "asked once at a time");
    table.hear(id, Answer::Ended(Box::default()));
    assert!(matches!(outcome.try_recv(), Ok(Ok(Reply::Ended(_)))));
}

#[test]
fn a_parked_wait_is_asked_once_on_a_stream_however_it_got_into_the_outbox() {
    let mut table = Table::connected();
    let (id, mut outcome) = table.open("", true);
    table.take();
    table.accept(id);
    let away = holdfast_rpc::Error::unavailable("away", Duration::from_secs(1)).to_proto().encode_to_vec();
    table.hear(id, Answer::Status(away.into()));
    let wait = || vec![(id, Ask::Wait(WaitRequest { tenant: "default".into(), invocation_id: format!("inv-{id}") }))];

    table.calls.unpark();
    table.disconnect();
    table.calls.connected(table.now);
    table.calls.unpark();
    assert_eq!(table.take(), wait(), "after a break");

    let away = holdfast_rpc::Error::unavailable("away", Duration::from_secs(1)).to_proto().encode_to_vec();
    table.hear(id, Answer::Status(away.into()));
    table.calls.unpark();
    table.calls.unpark();
    assert_eq!(table.take(), wait(), "on a stream that takes nothing for a while");
    assert!(outcome.try_recv().is_err(), "the wait goes on");
}

#[test]
fn a_caller_that_leaves_takes_its_call_along() {
    let mut table = Table::connected();
    let (unsent, _outcome) = table.open("", true);
    table.calls.close(unsent);
    assert!(table.take().is_empty(), "nothing to send, nothing to forget");

    let (waiting, _outcome) = table.open("", true);
    table.take();
    table.accept(waiting);
    table.calls.close(waiting);
    assert_eq!(table.take(), vec![(waiting, Ask::Forget(Forget {}))]);
    assert_eq!((table.calls.len(), table.calls.waits, table.calls.bytes.held()), (0, 0, 0));
}

#[test]
fn every_bound_holds() {
    let mut table = Table::connected();
    let _waits = [table.open("", true), table.open("", true)];
    assert!(matches!(table.try_open("", true, 10), Err(CallError::Full { .. })), "waits_max");
    assert!(matches!(table.try_open("", false, 20_000), Err(CallError::Full { .. })), "bytes_max");
    let _calls: Vec<_> = (0..6).map(|_| table.open("", false)).collect();
    assert!(matches!(table.try_open("", false, 10), Err(CallError::Full { .. })), "calls_max");
}

#[test]
fn a_silent_queue_is_noticed_only_while_something_waits_for_it() {
    let mut table = Table::connected();
    let limit = Duration::from_secs(5);
    table.now += Duration::from_secs(60);
    assert!(!table.calls.stalled(table.now, limit), "nobody asked anything");
    let (id, _outcome) = table.open("", true);
    table.take();
    table.now += Duration::from_secs(5);
    assert!(table.calls.stalled(table.now, limit));
    table.accept(id);
    table.now += Duration::from_secs(60);
    assert!(!table.calls.stalled(table.now, limit), "a wait may be long");
}

#[test]
fn a_queue_that_hangs_is_noticed_whoever_still_waits_for_it() {
    let mut table = Table::connected();
    let limit = Duration::from_secs(5);
    let ask = |table: &mut Table| {
        let (id, _outcome) = table.open("", false);
        table.take();
        table.now += Duration::from_secs(1);
        // Its caller's deadline is here.
        table.calls.close(id);
    };
    (0..4).for_each(|_| ask(&mut table));
    assert!(!table.calls.stalled(table.now, limit), "not yet");
    (0..2).for_each(|_| ask(&mut table));
    assert!(table.calls.stalled(table.now, limit));

    table.disconnect();
    table.calls.connected(table.now);
    ask(&mut table);
    assert!(!table.calls.stalled(table.now, limit), "another stream begins anew");
}

#[test]
fn a_queue_that_answered_what_is_due_may_be_quiet() {
    let mut table = Table::connected();
    let limit = Duration::from_secs(5);
    let (id, _outcome) = table.open("", false);
    table.take();
    table.calls.close(id);
    table.accept(id);
    table.now += Duration::from_secs(60);
    assert!(!table.calls.stalled(table.now, limit), "its caller had left, and it answered");
    let (id, _outcome) = table.open("", true);
    table.take();
    table.calls.close(id);
    table.take();
    table.now += Duration::from_secs(60);
    assert!(!table.calls.stalled(table.now, limit), "what was forgotten at once may have no answer");
}
