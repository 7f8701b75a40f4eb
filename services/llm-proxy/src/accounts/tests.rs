use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use futures::future::join_all;
use holdfast_rpc::service::{Host, ServeError};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::Code;

use super::*;
use crate::domain::Usage;

const NOON: i64 = 1_795_262_400_000_000;
const HOUR: i64 = 3_600 * 1_000_000;
const KEY: (&str, &str) = ("sim", "main");

/// A state service, and a wall clock that the test sets.
struct Stage {
    common: Common,
    now: Arc<AtomicI64>,
    state: JoinHandle<Result<(), ServeError>>,
    _data: TempDir,
}

impl Stage {
    async fn start() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut common = Common::default();
        common.data.dir = data.path().to_owned();
        let host = Host::bind("state", "127.0.0.1:0", &common).await.expect("a free port");
        common.mesh.state = format!("http://{}", host.address()).into();
        let state = tokio::spawn(holdfast_state::serve(common.clone(), holdfast_state::Config::default(), host));
        Self { common, now: Arc::new(AtomicI64::new(NOON)), state, _data: data }
    }

    /// The accounts of another process.
    fn process(&self, budgets: &Budgets) -> Accounts {
        let now = Arc::clone(&self.now);
        let wall = Wall(Arc::new(move || now.load(Ordering::SeqCst)));
        Accounts::by(wall, &self.common, budgets).expect("an address")
    }

    fn hours_later(&self, hours: i64) {
        self.now.fetch_add(hours * HOUR, Ordering::SeqCst);
    }
}

/// Where no state service is.
fn alone() -> Common {
    let mut common = Common::default();
    common.mesh.state = "http://127.0.0.1:9".to_owned().into();
    common
}

impl Accounts {
    async fn asks(&self, who: &Who, tokens: u64) -> Result<Charge, Error> {
        self.admit(who, "m", Need { input: tokens / 2, output: tokens - tokens / 2 }).await
    }

    /// A call that uses what it needs.
    async fn uses(&self, who: &Who, tokens: u64) -> Result<(), Error> {
        let mut charge = self.asks(who, tokens).await?;
        charge.sent();
        charge.settle(Some(Usage { input_tokens: tokens / 2, output_tokens: tokens - tokens / 2 }), KEY);
        Ok(())
    }

    async fn round(&self) {
        duty::round(self.ledger.as_ref().expect("there are budgets")).await;
    }
}

fn invocation(id: &str) -> Who {
    Who { tenant: "acme".into(), agent: Some("clerk".into()), session: None, invocation: Some(id.into()) }
}

fn a_day(tokens: u64) -> Budgets {
    Budgets { tenant_tokens_per_day: Some(tokens), ..Budgets::default() }
}

fn an_invocation(tokens: u64) -> Budgets {
    Budgets { invocation_tokens: Some(tokens), ..Budgets::default() }
}

#[tokio::test]
async fn of_twenty_calls_at_once_no_more_start_than_the_budget_has_room_for() {
    let stage = Stage::start().await;
    let accounts = stage.process(&an_invocation(75));
    let who = invocation("i");
    let calls = join_all((0..20).map(|_| accounts.asks(&who, 10))).await;
    assert_eq!(calls.iter().flatten().count(), 7);
    let refused = calls.iter().find_map(|call| call.as_ref().err()).expect("13 are refused");
    assert_eq!((refused.code(), refused.reason()), (Code::ResourceExhausted, "INVOCATION_BUDGET"));
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)), "those under way may use less");
    drop(calls);
    accounts.uses(&who, 75).await.expect("none of them was sent");
    let refused = accounts.asks(&who, 1).await.expect_err("it is used up");
    assert_eq!((refused.code(), refused.reason()), (Code::FailedPrecondition, "INVOCATION_BUDGET"));
    assert_eq!(refused.retry_after(), None, "it never comes back");
    for word in ["75 tokens", "75 are used", "may need 1"] {
        assert!(refused.to_string().contains(word), "{refused}");
    }
    accounts.uses(&invocation("j"), 75).await.expect("another invocation has its own");
}

#[tokio::test]
async fn a_tenants_budget_comes_back_with_the_next_day() {
    let stage = Stage::start().await;
    let accounts = stage.process(&a_day(100));
    accounts.uses(&invocation("i"), 100).await.expect("it fits");
    let refused = accounts.asks(&invocation("j"), 1).await.expect_err("all invocations share it");
    assert_eq!((refused.code(), refused.reason()), (Code::ResourceExhausted, "TENANT_BUDGET"));
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(12 * 3_600)));
    let refused = accounts.asks(&invocation("j"), 101).await.expect_err("no day has as much");
    assert_eq!((refused.code(), refused.retry_after()), (Code::FailedPrecondition, None));
    let other = Who { tenant: "other".into(), ..invocation("k") };
    accounts.uses(&other, 100).await.expect("another tenant has its own");
    stage.hours_later(12);
    accounts.uses(&invocation("j"), 100).await.expect("it is midnight");
    stage.hours_later(-12);
    accounts.asks(&invocation("j"), 1).await.expect_err("a clock that is set back reopens nothing");
}

#[tokio::test]
async fn a_clock_that_is_set_back_before_a_restart_reopens_no_day() {
    let stage = Stage::start().await;
    let accounts = stage.process(&a_day(100));
    accounts.uses(&invocation("i"), 1).await.expect("it fits");
    accounts.round().await;
    stage.hours_later(12);
    accounts.uses(&invocation("i"), 100).await.expect("another day");
    accounts.round().await;
    stage.hours_later(-12);
    let next = stage.process(&a_day(100));
    next.asks(&invocation("i"), 1).await.expect_err("the later day counts, and is spent");
}

#[tokio::test]
async fn an_orderly_end_forgets_nothing() {
    let stage = Stage::start().await;
    for _ in 0..4 {
        let accounts = stage.process(&a_day(100));
        let duty = accounts.start();
        accounts.uses(&invocation("i"), 25).await.expect("it fits");
        duty.end().await;
    }
    stage.process(&a_day(100)).asks(&invocation("i"), 1).await.expect_err("four lives used it up");
}

#[tokio::test]
async fn what_a_killed_process_had_kept_counts_with_its_calls_under_way() {
    let stage = Stage::start().await;
    let accounts = stage.process(&an_invocation(100));
    accounts.uses(&invocation("i"), 50).await.expect("it fits");
    let under_way = accounts.asks(&invocation("i"), 40).await.expect("it fits");
    accounts.round().await;
    std::mem::forget(under_way);
    drop(accounts);
    let next = stage.process(&an_invocation(100));
    let refused = next.asks(&invocation("i"), 11).await.expect_err("90 may be used");
    assert!(refused.to_string().contains("90 are used"), "{refused}");
    next.asks(&invocation("i"), 10).await.expect("that is left");
}

#[tokio::test]
async fn what_a_call_did_not_need_is_given_back_to_all() {
    let stage = Stage::start().await;
    let [one, two] = [stage.process(&an_invocation(100)), stage.process(&an_invocation(100))];
    let mut charge = one.asks(&invocation("i"), 90).await.expect("it fits");
    charge.sent();
    one.round().await;
    two.asks(&invocation("i"), 11).await.expect_err("it may need all of it");
    charge.settle(Some(Usage { input_tokens: 5, output_tokens: 5 }), KEY);
    one.round().await;
    two.round().await;
    two.asks(&invocation("i"), 90).await.expect("it did not");
}

#[tokio::test]
async fn processes_hear_of_each_other() {
    let stage = Stage::start().await;
    let [one, two] = [stage.process(&a_day(100)), stage.process(&a_day(100))];
    one.uses(&invocation("i"), 30).await.expect("it fits");
    two.uses(&invocation("i"), 30).await.expect("it fits");
    for accounts in [&one, &two, &one] {
        accounts.uses(&invocation("i"), 1).await.expect("it fits");
        accounts.round().await;
    }
    // 63 are used: 32 by one, 31 by two.
    two.round().await;
    one.asks(&invocation("i"), 38).await.expect_err("63 are used");
    two.asks(&invocation("i"), 38).await.expect("what another used since is not known yet");
    two.round().await;
    two.asks(&invocation("i"), 38).await.expect_err("now it is");
    one.uses(&invocation("i"), 37).await.expect("that is left");
    one.round().await;
    two.round().await;
    two.asks(&invocation("i"), 1).await.expect_err("it is used up");
}

#[tokio::test]
async fn a_call_that_is_given_up_costs_what_it_may_have_used() {
    let stage = Stage::start().await;
    let accounts = stage.process(&an_invocation(100));
    let who = invocation("i");
    let left = async |tokens: u64| {
        accounts.asks(&who, tokens + 1).await.expect_err("more is not left");
        accounts.asks(&who, tokens).await.expect("so much is left");
    };
    drop(accounts.asks(&who, 40).await.expect("it fits"));
    left(100).await;
    let mut refused = accounts.asks(&who, 40).await.expect("it fits");
    refused.sent();
    refused.unused();
    drop(refused);
    left(100).await;
    let mut silent = accounts.asks(&who, 20).await.expect("it fits");
    silent.sent();
    drop(silent);
    left(80).await;
    let mut broken = accounts.asks(&who, 60).await.expect("it fits");
    broken.sent();
    broken.saw(3);
    broken.saw(4);
    drop(broken);
    left(80 - 30 - 7).await;
    let mut uncounted = accounts.asks(&who, 20).await.expect("it fits");
    uncounted.sent();
    uncounted.saw(1);
    uncounted.settle(None, KEY);
    left(43 - 10 - 1).await;
}

#[tokio::test]
async fn a_lost_request_counts_beside_its_repeat() {
    let stage = Stage::start().await;
    let accounts = stage.process(&an_invocation(100));
    let who = invocation("i");
    let mut charge = accounts.asks(&who, 40).await.expect("it fits");
    charge.renew().expect("nothing was lost yet");
    charge.sent();
    charge.lost();
    charge.renew().expect("80 may be used then");
    charge.sent();
    charge.lost();
    let refused = charge.renew().expect_err("120 would be too much");
    assert_eq!(refused.reason(), "INVOCATION_BUDGET");
    drop(charge);
    accounts.asks(&who, 20).await.expect("two were lost");
    accounts.asks(&who, 21).await.expect_err("two were lost");
}

#[tokio::test]
async fn without_the_state_service_calls_go_on_by_what_is_known() {
    let accounts = Accounts::new(&alone(), &an_invocation(100)).expect("an address");
    accounts.uses(&invocation("i"), 100).await.expect("a budget is not worth an outage");
    accounts.round().await;
    accounts.asks(&invocation("i"), 1).await.expect_err("what this process knows counts");
}

#[tokio::test]
async fn what_was_used_while_the_state_service_was_away_is_kept_when_it_is_back() {
    let stage = Stage::start().await;
    let before = stage.process(&a_day(100));
    before.uses(&invocation("i"), 40).await.expect("it fits");
    before.round().await;
    let mut away = stage.process(&a_day(100));
    let ledger = Arc::get_mut(away.ledger.as_mut().expect("there are budgets")).expect("it is ours");
    let there = std::mem::replace(&mut ledger.keeper, {
        let nowhere = Channel::to(&alone(), Peer::State).expect("an address");
        Keeper::new(nowhere, "p".into())
    });
    away.uses(&invocation("i"), 50).await.expect("it does not know of the others");
    away.round().await;
    Arc::get_mut(away.ledger.as_mut().expect("there are budgets")).expect("it is ours").keeper = there;
    away.round().await;
    away.asks(&invocation("i"), 11).await.expect_err("now it knows");
    stage.process(&a_day(100)).asks(&invocation("i"), 11).await.expect_err("and the others know");
}

#[tokio::test]
async fn without_budgets_nobody_is_asked() {
    let stage = Stage::start().await;
    let accounts = stage.process(&Budgets::default());
    assert!(accounts.ledger.is_none());
    stage.state.abort();
    accounts.uses(&invocation("i"), u64::MAX).await.expect("nothing is held against it");
}

#[tokio::test]
async fn an_account_that_was_forgotten_is_read_again() {
    let stage = Stage::start().await;
    let mut accounts = stage.process(&an_invocation(100));
    Arc::get_mut(accounts.ledger.as_mut().expect("there are budgets")).expect("it is ours").book = Book::holding(4);
    for _ in 0..2 {
        for id in 0..20 {
            accounts.uses(&invocation(&format!("i{id}")), 45).await.expect("90 fit");
            accounts.round().await;
            let known = accounts.ledger.as_ref().expect("there are budgets").book.len();
            assert!(known <= 4, "{known}");
        }
    }
    for id in 0..20 {
        accounts.asks(&invocation(&format!("i{id}")), 11).await.expect_err("90 are used");
    }
}

#[tokio::test]
async fn accounts_that_cannot_be_kept_are_bounded() {
    let mut accounts = Accounts::new(&alone(), &an_invocation(100)).expect("an address");
    Arc::get_mut(accounts.ledger.as_mut().expect("there are budgets")).expect("it is ours").book = Book::holding(4);
    for id in 0..50 {
        accounts.uses(&invocation(&format!("i{id}")), 1).await.expect("it fits");
        accounts.round().await;
    }
    let ledger = accounts.ledger.as_ref().expect("there are budgets");
    assert!(ledger.book.len() <= 8);
    assert!(ledger.book.take_used().len() <= 8, "the list is bounded too");
}
