//! What every store must do, as one list of tests over the port. A backend names itself once, with a way to open it.

pub(super) mod accepting;
pub(super) mod leasing;
pub(super) mod listing;
pub(super) mod reading;
pub(super) mod redriving;
pub(super) mod retaining;
pub(super) mod settling;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_resilience::Backoff;
use holdfast_storage::Waiter;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Accept, Acceptance, Answer, Change, Claim, Claimed, Command, Settle, Settlement, Store};
use crate::domain::invocation::{Accepted, Failure, Payload, Status, Usage};
use crate::domain::retry::RetryPolicy;
use crate::domain::time::Micros;
use crate::domain::transition::{Grant, Step};

/// A store whose callers wait for their answers.
pub(super) type Port = Arc<dyn Store<Waiter<Answer>>>;

/// Runs the whole list on a store. `each: open` makes a test of every case; `open()` gives a new, empty store and what it
/// needs to be kept alive. `together: Server` makes a test of every part, for a store whose server takes its time to
/// start: `Server::start()` does so once for a part, and `open(case)` gives a new, empty store on it.
macro_rules! conformance {
    // What only a store must do whose one process keeps everything in memory and removes what it has found.
    (restoring: $open:path) => {
        $crate::store::conformance::conformance!(each: $open, reading: what_has_not_ended_is_found_at_a_start);
        $crate::store::conformance::conformance!(each: $open, retaining:
            a_redriven_invocation_is_as_old_as_its_last_end
            what_a_clock_that_was_ahead_accepted_keeps_nothing_from_going
            a_key_that_a_clock_ahead_accepted_is_looked_for_again
        );
    };
    ($mode:ident: $open:path) => {
        $crate::store::conformance::conformance!($mode: $open, accepting:
            an_accepted_invocation_is_found_as_it_was_asked
            places_rise_and_sessions_count_for_themselves
            a_key_is_scoped_and_compared_by_digest
            a_repeat_raises_no_counter
        );
        $crate::store::conformance::conformance!($mode: $open, leasing:
            a_claim_is_granted_once
            a_session_has_one_holder_in_order
            fences_rise_within_a_session
            adopting_and_freeing_compare_the_stream
            a_claim_brings_the_input_where_it_is_wanted
        );
        $crate::store::conformance::conformance!($mode: $open, settling:
            the_first_end_wins_and_the_others_learn_why
            a_repeat_gets_its_first_answer
            releases_in_a_row_are_paced
            a_stranger_cancels_nothing
            every_failed_attempt_is_kept
            what_a_holder_used_is_kept_though_it_learns_of_the_end_afterwards
            a_fence_that_was_not_given_up_is_remembered_until_state_knows
            commands_of_one_batch_take_effect_in_their_order
        );
        $crate::store::conformance::conformance!($mode: $open, reading:
            lists_are_filtered_and_paged
            events_follow_from_what_happened
            reports_share_the_count_of_events_and_are_bounded
            a_window_bounds_events_and_bytes
            nothing_is_read_across_tenants
        );
        $crate::store::conformance::conformance!($mode: $open, listing:
            a_list_shows_exactly_what_matches_all_of_its_filter
            ends_are_found_by_their_time
            a_redriven_invocation_moves_between_lists
        );
        $crate::store::conformance::conformance!($mode: $open, redriving:
            a_redriven_invocation_keeps_its_past_and_has_its_attempts_again
            what_a_call_has_redriven_is_found_by_its_id
            events_go_on_over_a_redrive
            a_redriven_member_goes_to_the_end_of_its_session_under_a_rising_fence
            a_lone_fence_rises_over_a_redrive
            a_repeated_redrive_gets_its_first_answer
            what_is_not_as_asked_is_not_redriven
            old_leases_stay_what_they_were_over_a_redrive
            a_new_deadline_takes_the_place_of_the_old_one
        );
        $crate::store::conformance::conformance!($mode: $open, retaining:
            old_ends_go_with_all_that_belongs_to_them
            only_so_many_are_kept
            a_key_is_free_again_after_its_time_but_not_while_its_invocation_lives
            expired_keys_are_removed
            reports_go_before_their_invocation
            a_session_goes_when_nobody_is_in_it_and_its_fences_are_old
        );
    };
    (each: $open:path, $part:ident: $($name:ident)*) => {
        $(#[tokio::test]
        async fn $name() {
            let (store, _kept) = $open().await;
            $crate::store::conformance::$part::$name(store).await;
        })*
    };
    (together: $server:path, $part:ident: $($name:ident)*) => {
        #[tokio::test]
        async fn $part() {
            let server = <$server>::start().await;
            $({
                eprintln!("{}", stringify!($name));
                let (store, _kept) = server.open(stringify!($name)).await;
                $crate::store::conformance::$part::$name(store).await;
            })*
        }
    };
}
pub(super) use conformance;

pub(super) const NOW: Micros = 1_000_000;

pub(super) fn accepted() -> Accepted {
    Accepted {
        id: Uuid::now_v7(),
        tenant: "t".into(),
        agent: "a".into(),
        session: None,
        idempotency_key: None,
        priority: 0,
        not_before: None,
        deadline: None,
        retry: RetryPolicy {
            attempts_max: 2,
            backoff: Backoff::doubling(Duration::from_micros(100), Duration::from_secs(1)),
            final_reasons: Vec::new(),
        },
        labels: BTreeMap::new(),
        parent: None,
        traceparent: String::new(),
        at: NOW,
        bytes: 5,
    }
}

pub(super) fn in_session(name: &str) -> Accepted {
    Accepted { session: Some(name.into()), ..accepted() }
}

pub(super) fn payload(text: &'static str) -> Payload {
    Payload { data: Bytes::from_static(text.as_bytes()), content_type: "text/plain".into() }
}

pub(super) fn busy() -> Failure {
    Failure { reason: "BUSY".into(), message: "later".into(), retryable: true }
}

/// Submits commands as one batch and waits for their answers.
pub(super) async fn batch(store: &Port, commands: Vec<Command>) -> Vec<Answer> {
    let (waiters, answers): (Vec<_>, Vec<_>) = commands
        .into_iter()
        .map(|command| {
            let (waiter, answer) = oneshot::channel();
            ((waiter, command), answer)
        })
        .unzip();
    assert!(store.submit(waiters).is_ok(), "the store takes commands");
    let mut all = Vec::new();
    for answer in answers {
        all.push(answer.await.expect("every command is answered").expect("the disk is well"));
    }
    all
}

pub(super) async fn one(store: &Port, command: Command) -> Answer {
    batch(store, vec![command]).await.remove(0)
}

pub(super) fn accept_command(accepted: &Accepted) -> Command {
    let digest = accepted.idempotency_key.is_some().then_some([7; 32]);
    let accept = Accept {
        accepted: Arc::new(accepted.clone()),
        payload: payload("input"),
        digest,
        awaited: false,
        keys_since: 0,
    };
    Command::Accept(Box::new(accept))
}

/// Accepts an invocation and says what came of it.
pub(super) async fn accept(store: &Port, accepted: &Accepted) -> Acceptance {
    match one(store, accept_command(accepted)).await {
        Answer::Accepted(acceptance) => acceptance,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn accept_new(store: &Port) -> Uuid {
    let accepted = accepted();
    accept(store, &accepted).await;
    accepted.id
}

pub(super) fn stream() -> Option<Uuid> {
    Some(Uuid::from_u128(9))
}

pub(super) fn claim_command(id: Uuid, lease: Uuid, now: Micros) -> Command {
    let grant = Grant { lease, worker: "w".into(), stream: stream() };
    Command::Claim(Box::new(Claim { id, grant, now, with_input: true, ready: None }))
}

/// Leases an invocation under a new lease.
pub(super) async fn claim(store: &Port, id: Uuid) -> Option<(Uuid, Claimed)> {
    let lease = Uuid::now_v7();
    match one(store, claim_command(id, lease, NOW)).await {
        Answer::Claimed(claimed) => claimed.map(|claimed| (lease, *claimed)),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn leased(store: &Port, id: Uuid) -> Uuid {
    claim(store, id).await.expect("it waits").0
}

/// Accepts an invocation and leases it in the same batch.
pub(super) async fn accept_leased(store: &Port) -> (Uuid, Uuid) {
    let (new, lease) = (accepted(), Uuid::now_v7());
    batch(store, vec![accept_command(&new), claim_command(new.id, lease, NOW)]).await;
    (new.id, lease)
}

pub(super) fn settle_command(id: Uuid, change: Change) -> Command {
    Command::Settle(Box::new(Settle { id, now: NOW + 10, change }))
}

pub(super) async fn settle(store: &Port, id: Uuid, change: Change) -> Settlement {
    match one(store, settle_command(id, change)).await {
        Answer::Settled(settlement) => *settlement,
        other => panic!("{other:?}"),
    }
}

pub(super) fn complete(lease: Uuid) -> Change {
    Change::Complete { lease, result: payload("output"), usage: Usage { input_tokens: 1, output_tokens: 2 } }
}

pub(super) fn fail(lease: Uuid) -> Change {
    Change::Fail { lease, failure: busy(), usage: Usage::default(), jitter: 1.0 }
}

pub(super) fn lose(lease: Uuid) -> Change {
    Change::Lose { lease, stream: stream(), lost_max: 3 }
}

pub(super) fn cancel() -> Change {
    Change::Cancel { tenant: Some("t".into()), why: "enough".into() }
}

/// What an end that took effect made of the invocation.
pub(super) fn became(settlement: Settlement) -> Status {
    match settlement {
        Settlement::Now { step: Step::Requeued { .. }, .. } => Status::Queued,
        Settlement::Now { step: Step::Ended { ended, .. }, .. } => ended.outcome.status(),
        other => panic!("it did not take effect: {other:?}"),
    }
}
