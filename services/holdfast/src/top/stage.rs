//! A mesh as tests tell of it.

use std::time::{Duration, Instant};

use holdfast_proto::llm::v1::{KeyCapacity, KeyHealth, LimitCapacity, LimitKind, LineCapacity, ProviderCapacity};
use holdfast_proto::queue::v1::invocation_event::{Event as Told, StateChanged};
use holdfast_proto::queue::v1::list_depths_response::Depth;
use holdfast_proto::queue::v1::{
    FailedAttempt, Failure, Invocation, InvocationEvent, InvocationSpec, InvocationState, Usage,
};
use holdfast_proto::state::v1::{Address, Record, Value, Writer};
use holdfast_proto::tool::v1::{Circuit, CircuitState};
use holdfast_rpc::time::{self, Micros, timestamp};

use super::event::{Event, Key, Report};
use super::known::{Health, Looked, Trouble, TroubleKind};
use super::metrics::Page;
use super::places::{Places, Service};
use super::state::State;

/// The wall clock of every test: 2026-01-31T08:00:00Z.
pub(super) const WALL: Micros = 1_769_846_400_000_000;
pub(super) const ID: &str = "01920000-0000-7000-8000-000000000001";
const SERVICES: [&str; 6] = ["gateway", "queue", "state", "tool-proxy", "llm-proxy", "agent"];

/// A view under test, with its own clock.
pub(super) struct Stage {
    pub(super) state: State,
    begun: Instant,
    passed: Duration,
}

impl Stage {
    /// Nothing has been told yet.
    pub(super) fn empty() -> Self {
        let service = |(number, name): (usize, &&'static str)| Service {
            name,
            address: format!("http://127.0.0.1:{}", 7070 + number),
        };
        let services = SERVICES.iter().enumerate().map(service).collect();
        let places = Places { services, only_gateway: false };
        let begun = Instant::now();
        Self { state: State::new("http://127.0.0.1:7070", &places, begun, WALL), begun, passed: Duration::ZERO }
    }

    /// A mesh that is well, and works.
    pub(super) fn well() -> Self {
        let mut stage = Self::empty();
        for process in 0..SERVICES.len() {
            stage.told(Report::Health { process, answer: Ok(Health::Serving) });
        }
        stage.depths(&[("disputes", 3, 2), ("mail", 0, 1)]);
        stage.told(Report::Circuits(Ok(vec![
            circuit("lookup", CircuitState::Closed),
            circuit("pay", CircuitState::Closed),
        ])));
        stage.told(Report::Capacity(Ok(vec![provider()])));
        stage.metrics(0);
        stage.pass(2);
        stage.metrics(2);
        stage
    }

    fn metrics(&mut self, second: u32) {
        let page = |text: String| Page::parse(&text);
        let state = format!(
            "holdfast_state_read_seconds_bucket{{backend=\"sqlite\",from=\"cache\",le=\"0.001\"}} {n}\n\
             holdfast_state_read_seconds_bucket{{backend=\"sqlite\",from=\"cache\",le=\"+Inf\"}} {n}\n\
             holdfast_state_read_seconds_count{{backend=\"sqlite\",from=\"cache\"}} {n}\n\
             holdfast_state_conflicts_total {second}\n",
            n = 10 + second * 50
        );
        let tokens = format!(
            "holdfast_llm_tokens_total{{model=\"default\",tenant=\"shop\",agent=\"disputes\",direction=\"input\"}} {}\n\
             holdfast_llm_tokens_total{{model=\"default\",tenant=\"shop\",agent=\"disputes\",direction=\"output\"}} 40\n",
            1_000 + second * 100
        );
        let calls = format!("holdfast_requests_total{{method=\"a/B\",code=\"Ok\"}} {}\n", second * 20);
        for (process, text) in [(0, calls), (2, state), (4, tokens)] {
            self.told(Report::Metrics { process, answer: Ok(page(text)) });
        }
    }

    pub(super) fn told(&mut self, report: Report) {
        self.event(Event::Told(report));
    }

    pub(super) fn keys(&mut self, keys: &[Key]) {
        keys.iter().for_each(|key| self.event(Event::Key(*key)));
    }

    pub(super) fn event(&mut self, event: Event) {
        self.state.update(event, self.begun + self.passed);
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.passed += Duration::from_secs(seconds);
        self.event(Event::Clock(WALL + self.passed.as_micros() as Micros));
    }

    pub(super) fn depths(&mut self, depths: &[(&str, u64, u64)]) {
        let depth = |&(agent, queued, leased): &(&str, u64, u64)| Depth {
            agent: agent.into(),
            queued,
            leased,
            oldest_age: Some(time::duration(Duration::from_secs(7))),
        };
        self.told(Report::Depths(Ok(depths.iter().map(depth).collect())));
    }

    /// Nobody answers any more.
    pub(super) fn lose(&mut self) {
        let gone = || Trouble { kind: TroubleKind::Unreached, why: "the gateway cannot be reached".into() };
        self.told(Report::Health { process: 0, answer: Err(gone()) });
        self.told(Report::Depths(Err(gone())));
        self.told(Report::Circuits(Err(gone())));
        self.told(Report::Capacity(Err(gone())));
    }

    pub(super) fn invocations(&mut self, invocations: Vec<Invocation>) {
        let listing = self.state.listing.clone();
        self.told(Report::Invocations { listing, answer: Ok(invocations) });
    }
}

pub(super) fn circuit(name: &str, state: CircuitState) -> Circuit {
    Circuit {
        name: name.into(),
        state: state.into(),
        changed_at: Some(timestamp(WALL)),
        calls: 20,
        failures: if state == CircuitState::Open { 15 } else { 0 },
        ..Default::default()
    }
}

fn provider() -> ProviderCapacity {
    let limit = |kind: LimitKind, limit, available| LimitCapacity {
        kind: kind.into(),
        upstream_model: String::new(),
        limit,
        available,
    };
    let key = |name: &str, health: KeyHealth, limits| KeyCapacity {
        name: name.into(),
        health: health.into(),
        rest: None,
        in_flight: 4,
        limits,
    };
    ProviderCapacity {
        provider: "openai".into(),
        keys: vec![
            key(
                "main",
                KeyHealth::Well,
                vec![limit(LimitKind::Requests, 500, 250), limit(LimitKind::Concurrency, 20, 1)],
            ),
            key("spare", KeyHealth::Quarantined, Vec::new()),
        ],
        lines: vec![LineCapacity {
            upstream_model: "gpt".into(),
            waiting: 6,
            waiting_tokens: 900,
            wait: Some(time::duration(Duration::from_millis(1_500))),
        }],
        shared: false,
    }
}

pub(super) fn invocation(id: &str, agent: &str, state: InvocationState) -> Invocation {
    Invocation {
        id: id.into(),
        spec: Some(InvocationSpec { agent: agent.into(), ..Default::default() }),
        state: state.into(),
        attempt: 2,
        created_at: Some(timestamp(WALL)),
        started_at: Some(timestamp(WALL)),
        usage: Some(Usage { input_tokens: 30, output_tokens: 12 }),
        ..Default::default()
    }
}

/// Two attempts, the second of which has recorded a step.
pub(super) fn looked() -> Looked {
    let second = |second: i64| Some(timestamp(WALL + second * 1_000_000));
    let changed = |offset, at, state: InvocationState, attempt| InvocationEvent {
        offset,
        time: second(at),
        event: Some(Told::StateChanged(StateChanged { state: state.into(), attempt, failure: None })),
    };
    let why = Failure { reason: "TOOL_UNAVAILABLE".into(), message: "pay is away".into(), retryable: true };
    let failed =
        FailedAttempt { attempt: 1, ended_at: second(2), worker: "w-1".into(), failure: Some(why), redrives: 0 };
    let step = Record {
        address: Some(Address { key: "000001".into(), ..Default::default() }),
        value: Some(Value {
            data: br#"{"result":{"text":"","calls":[{"tool":"pay"}],"deployment":"openai/gpt"},"usage":{"input_tokens":30,"output_tokens":12}}"#
                .as_slice()
                .into(),
            content_type: String::new(),
        }),
        writer: Some(Writer { time: second(5), ..Default::default() }),
        ..Default::default()
    };
    Looked {
        invocation: Invocation { failed_attempts: vec![failed], ..invocation(ID, "disputes", InvocationState::Leased) },
        events: vec![
            changed(1, 0, InvocationState::Queued, 0),
            changed(2, 1, InvocationState::Leased, 1),
            changed(3, 4, InvocationState::Leased, 2),
        ],
        steps: vec![step],
    }
}
