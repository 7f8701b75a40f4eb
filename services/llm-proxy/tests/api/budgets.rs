//! Budgets stop calls before they are made, over restarts and processes: beside a real state service.

use std::time::Duration;

use futures::future::join_all;
use holdfast_config::{Common, Document, Span};
use holdfast_llm_proxy::Config;
use holdfast_proto::llm::v1 as pb;
use holdfast_rpc::{
    client,
    service::{Host, ServeError, Settings as _},
    status,
};
use holdfast_simulator::{Faults, Of};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status};

use crate::{
    accounts::lease,
    harness::{Client, Harness, allowed, one_key, provider, said},
};

/// A state service, at whose address budgets are kept.
struct State {
    common: Common,
    served: JoinHandle<Result<(), ServeError>>,
    _directory: TempDir,
}

impl State {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut common = Common::default();
        common.data.dir = directory.path().to_owned();
        let host = Host::bind("state", "127.0.0.1:0", &common).await.expect("a free port");
        common.mesh.state = format!("http://{}", host.address()).into();
        let served = tokio::spawn(holdfast_state::serve(common.clone(), holdfast_state::Config::default(), host));
        Self { common, served, _directory: directory }
    }

    /// An llm-proxy beside it.
    async fn proxy(&self, budgets: &str) -> Harness {
        let toml = format!("{budgets}\n{}", one_key("concurrency = 50"));
        let provider = provider(&[("simulated", allowed(None, Some(50), 60_000))]).await;
        Harness::start_in(
            self.common.clone(),
            toml.replace("[models.m]", "[models.m]\nmax_output_tokens = 100"),
            provider,
        )
        .await
    }
}

fn ask_for(harness: &Harness, invocation: &str) -> impl Future<Output = Result<pb::GenerateResponse, Status>> + use<> {
    let token = lease(harness.directory.path(), invocation);
    let request = client::with_lease(Request::new(said("hi")), &token).expect("ASCII");
    let mut client: Client = harness.client.clone();
    async move { Ok(client.generate(request).await?.into_inner()) }
}

/// What a call needs by our estimate, as its refusal says.
async fn need(state: &State) -> u64 {
    let harness = state.proxy("[llm_proxy.budgets]\ninvocation_tokens = 1").await;
    let refused = ask_for(&harness, "n").await.expect_err("it needs more");
    assert_eq!(
        (refused.code(), status::reason(&refused).as_deref()),
        (Code::FailedPrecondition, Some("INVOCATION_BUDGET"))
    );
    assert_eq!(harness.provider.counts().key("simulated").requests, 0, "before the call, not after it");
    let need = refused.message().split("may need ").nth(1).and_then(|rest| rest.split(' ').next());
    need.and_then(|need| need.parse().ok()).unwrap_or_else(|| panic!("{}", refused.message()))
}

#[test]
fn a_budget_that_cannot_hold_is_named() {
    for (text, key) in [
        ("[llm_proxy.budgets]\ninvocation_tokens = 0", "llm_proxy.budgets.invocation_tokens"),
        ("[llm_proxy.budgets]\ntenant_tokens_per_day = 0", "llm_proxy.budgets.tenant_tokens_per_day"),
        ("[llm_proxy.budgets]\ntokens_per_day = 5", "llm_proxy.budgets.tokens_per_day"),
    ] {
        let document = Document::parse("t.toml", text, []).expect("it is TOML");
        let error = Config::from_document(&document).expect_err(text);
        assert_eq!(error.key.as_deref(), Some(key), "{error}");
    }
}

fn total(answer: &pb::GenerateResponse) -> u64 {
    answer.usage.map_or(0, |usage| usage.input_tokens + usage.output_tokens)
}

#[tokio::test]
async fn of_twenty_calls_at_once_an_invocations_budget_lets_through_what_it_holds() {
    let state = State::start().await;
    let need = need(&state).await;
    let harness = state.proxy(&format!("[llm_proxy.budgets]\ninvocation_tokens = {}", 7 * need + need / 2)).await;
    harness.provider.set_faults(Of::Provider, Faults { latency: Span::from_millis(300), ..Faults::default() });
    let answers = join_all((0..20).map(|_| ask_for(&harness, "i"))).await;
    assert_eq!(answers.iter().flatten().count(), 7, "{answers:?}");
    assert_eq!(harness.provider.counts().key("simulated").requests, 7);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(
            (refused.code(), status::reason(refused).as_deref()),
            (Code::ResourceExhausted, Some("INVOCATION_BUDGET"))
        );
        assert_eq!(status::retry_after(refused), Some(Duration::from_secs(1)), "those under way may use less");
    }
    ask_for(&harness, "j").await.expect("another invocation has its own");
    harness.say("hi").await.expect("and who calls for none has none");
}

#[tokio::test]
async fn what_was_used_is_what_counts_and_it_outlives_a_restart() {
    let state = State::start().await;
    let need = need(&state).await;
    let budget = format!("[llm_proxy.budgets]\ntenant_tokens_per_day = {}", 2 * need);
    let mut used = 0;
    // Each life of the proxy goes on where the last one ended, until too little is left.
    for life in 1.. {
        let harness = state.proxy(&budget).await;
        let answer = harness.say("hi").await;
        let refused = match answer {
            Ok(answer) => {
                assert!(used + need <= 2 * need, "nothing fitted any more: {used} of {}", 2 * need);
                used += total(&answer);
                harness.shut_down().await;
                continue;
            }
            Err(refused) => refused,
        };
        assert!(life > 2 && used + need > 2 * need, "{used} of {}: {refused:?}", 2 * need);
        assert_eq!(
            (refused.code(), status::reason(&refused).as_deref()),
            (Code::ResourceExhausted, Some("TENANT_BUDGET"))
        );
        let day = Duration::from_secs(24 * 3_600);
        assert!(status::retry_after(&refused).is_some_and(|wait| !wait.is_zero() && wait <= day), "{refused:?}");
        assert!(refused.message().contains(&format!("{used} are used")), "{}", refused.message());
        break;
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_counts_as_what_it_may_have_used() {
    let state = State::start().await;
    let need = need(&state).await;
    let harness = state.proxy(&format!("[llm_proxy.budgets]\ninvocation_tokens = {}", need + need / 2)).await;
    harness.provider.set_faults(Of::Provider, Faults { hang_rate: 1.0, times: Some(1), ..Faults::default() });
    let given_up = tokio::spawn(ask_for(&harness, "i"));
    harness.provider.until(|counts| counts.key("simulated").in_flight == 1).await;
    given_up.abort();
    harness.provider.until(|counts| counts.key("simulated").in_flight == 0).await;
    let refused = ask_for(&harness, "i").await.expect_err("nobody knows what it used");
    assert_eq!(status::reason(&refused).as_deref(), Some("INVOCATION_BUDGET"), "{refused:?}");
    ask_for(&harness, "j").await.expect("the key is well");
}

#[tokio::test]
async fn without_the_state_service_calls_go_on() {
    let state = State::start().await;
    let need = need(&state).await;
    state.served.abort();
    let harness = state.proxy(&format!("[llm_proxy.budgets]\ninvocation_tokens = {}", need + need / 2)).await;
    let mut answered = 0;
    while let Ok(answer) = ask_for(&harness, "i").await {
        answered += total(&answer);
    }
    assert!(answered > need / 2, "by what this process knows, its budget holds all the same: {answered}");
}
