//! `holdfast top` in a real terminal: what happens in the mesh is seen within a second.

mod tmux;

use std::time::{Duration, Instant, SystemTime};

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::{RunInvocationRequest, SubmitInvocationRequest};
use holdfast_proto::queue::v1::{InvocationSpec, Payload};
use holdfast_proto::tool::v1::{CallToolRequest, CircuitMode, CircuitState, SetCircuitRequest, WatchCircuitsRequest};
use holdfast_testkit::{Mesh, executable};

use crate::load::{Findings, Size};
use tmux::Tmux;

/// The smallest window that everything fits.
const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (160, 50);
/// Within this an event is seen.
const SEEN_WITHIN_MS: f64 = 1_000.0;
/// An agent type that no worker runs: what is submitted waits.
const WAITS: &str = "echo";
/// A tool of the demonstration.
const TOOL: &str = "lookup_payment";

/// Looks at a mesh while work comes, circuits open, and the gateway goes away.
///
/// # Panics
/// Where something is never seen.
pub async fn run(size: Size) -> Findings {
    let mut mesh = Mesh::builder().start().await;
    let mut findings = Findings::default();
    let top = format!("{} --port-base {}", command(), mesh.port(Peer::Gateway));
    let tmux = Tmux::start(mesh.directory(), SMALL, &format!("{top}; echo ended with $?")).await;
    tmux.shows("every service", |screen| screen.matches("serving").count() == Peer::ALL.len()).await;
    println!("{}", tmux.screen(false).await);

    let rounds = size.of(40, 8);
    findings.at_most("depth_seen_ms_max", depths(&mesh, &tmux, rounds).await, SEEN_WITHIN_MS);
    findings.at_most("circuit_by_hand_seen_ms_max", by_hand(&mesh, &tmux, rounds / 4).await, SEEN_WITHIN_MS);
    findings.at_most("circuit_by_failures_seen_ms", by_failures(&mesh, &tmux).await, SEEN_WITHIN_MS);
    println!("{}", tmux.screen(false).await);
    tmux.press(&["3", "r"]).await;
    tmux.shows("the other order", |screen| screen.contains("waiting▲")).await;
    look_inside(&mesh, &tmux).await;
    let (lost, back) = lose(&mut mesh, &tmux).await;
    findings.tell("loss_seen_ms", lost);
    findings.tell("return_seen_ms", back);
    sizes_and_end(&tmux).await;
    colours(&mesh, &top).await;
    findings.tell("rounds", f64::from(rounds));
    findings
}

fn command() -> String {
    format!("'{}' top", executable().display())
}

/// The line of something, where the screen has one.
fn line<'a>(screen: &'a str, name: &str) -> Option<&'a str> {
    screen.lines().find(|line| line.contains(name))
}

fn spec(agent: &str, input: &str) -> Option<InvocationSpec> {
    let payload = Some(Payload { data: input.as_bytes().to_vec().into(), content_type: String::new() });
    Some(InvocationSpec { agent: agent.into(), payload, ..Default::default() })
}

/// One more waits each time; from its acceptance until the number stands there.
async fn depths(mesh: &Mesh, tmux: &Tmux, rounds: u32) -> f64 {
    let mut worst = Duration::ZERO;
    for waiting in 1..=rounds {
        mesh.invocations()
            .submit_invocation(SubmitInvocationRequest { spec: spec(WAITS, "{}") })
            .await
            .expect("accepted");
        let begun = Instant::now();
        let shown = format!(" {waiting} ");
        let risen = |line: &str| line.split(WAITS).nth(1).is_some_and(|figures| figures.contains(&shown));
        tmux.shows("the depth", |screen| line(screen, WAITS).is_some_and(risen)).await;
        worst = worst.max(begun.elapsed());
    }
    worst.as_secs_f64() * 1e3
}

/// Opened and closed by an operator; from the answer until it stands there.
async fn by_hand(mesh: &Mesh, tmux: &Tmux, rounds: u32) -> f64 {
    let mut worst = Duration::ZERO;
    let set = async |mode: CircuitMode| {
        let request = SetCircuitRequest { name: TOOL.into(), mode: mode.into(), reason: "a proof".into() };
        mesh.tools().set_circuit(request).await.expect("it is set");
    };
    for _ in 0..rounds {
        for (mode, word) in [(CircuitMode::Open, "OPEN"), (CircuitMode::Closed, "closed")] {
            set(mode).await;
            let begun = Instant::now();
            tmux.shows(word, |screen| line(screen, TOOL).is_some_and(|line| line.contains(word))).await;
            worst = worst.max(begun.elapsed());
        }
    }
    set(CircuitMode::Auto).await;
    worst.as_secs_f64() * 1e3
}

/// Opened because its tool fails; from the time that the breaker itself gives for it.
async fn by_failures(mesh: &Mesh, tmux: &Tmux) -> f64 {
    let fails = r#"{"error_rate": 1.0}"#;
    mesh.http(Peer::Simulator, "PUT", &format!("/admin/tools/{TOOL}/faults"), fails).await;
    let mut news = mesh.tools().watch_circuits(WatchCircuitsRequest {}).await.expect("it is told").into_inner();
    let calls = async {
        loop {
            let arguments = br#"{"customer_id": "C-1001"}"#.to_vec().into();
            let request = CallToolRequest { tool: TOOL.into(), arguments, ..Default::default() };
            mesh.tools().call_tool(request).await.expect("a call is always answered");
        }
    };
    let opened = async {
        loop {
            let told = news.message().await.expect("the stream goes on").expect("it does not end");
            let circuit = told.circuit.unwrap_or_default();
            if circuit.name == TOOL && circuit.state() == CircuitState::Open {
                return circuit.changed_at.expect("it has changed");
            }
        }
    };
    let at = tokio::select! { at = opened => at, () = calls => unreachable!("they go on for ever") };
    tmux.shows("OPEN", |screen| line(screen, TOOL).is_some_and(|line| line.contains("OPEN"))).await;
    let at = SystemTime::try_from(at).expect("a time since 1970");
    let took = SystemTime::now().duration_since(at).unwrap_or_default();
    mesh.http(Peer::Simulator, "PUT", &format!("/admin/tools/{TOOL}/faults"), "{}").await;
    took.as_secs_f64() * 1e3
}

/// From the list of invocations into the one that has run, to one of its steps, and back.
async fn look_inside(mesh: &Mesh, tmux: &Tmux) {
    let input = r#"{"customer_id":"C-1001","message":"I did not make this payment"}"#;
    let request = RunInvocationRequest { spec: spec("disputes", input) };
    let ended = mesh.invocations().run_invocation(request).await.expect("it ends").into_inner();
    let id = ended.invocation.expect("it is told").id;
    tmux.press(&["8"]).await;
    tmux.shows("the list", |screen| line(screen, "disputes").is_some_and(|line| line.contains("succeeded"))).await;
    // The newest stands first, and is chosen.
    tmux.press(&["Enter"]).await;
    let has = |screen: &str| screen.contains(&id) && screen.contains("step 1") && screen.contains("succeeded");
    tmux.shows("its steps", has).await;
    println!("{}", tmux.screen(false).await);
    tmux.shows("its attempts", |screen| screen.contains("attempt 1")).await;
    let step = tmux.screen(false).await.lines().filter(|line| line.contains(" s ") || line.contains(" ms ")).count();
    assert!(step > 2, "{}", tmux.screen(false).await);
    tmux.press(&["G", "k", "Enter"]).await;
    tmux.shows("all of a row", |screen| screen.contains("Up Down scroll")).await;
    tmux.press(&["Escape"]).await;
    tmux.shows("its steps again", has).await;
    tmux.press(&["Escape", "1"]).await;
    tmux.shows("everything", |screen| screen.contains("Circuits") && screen.contains("Tokens")).await;
}

/// Without its gateway for a while; how long until that is said, and until it is taken back.
async fn lose(mesh: &mut Mesh, tmux: &Tmux) -> (f64, f64) {
    let lost = |screen: &str| screen.contains("the mesh is lost");
    mesh.kill(Peer::Gateway).await;
    let gone = tmux.shows("the loss", lost).await;
    mesh.restart(Peer::Gateway).await;
    let back = tmux.shows("the return", |screen| !lost(screen) && !screen.contains("not reached")).await;
    // It is alive, and not only says so.
    depths_go_on(mesh, tmux).await;
    (gone.as_secs_f64() * 1e3, back.as_secs_f64() * 1e3)
}

async fn depths_go_on(mesh: &Mesh, tmux: &Tmux) {
    let before = tmux.screen(false).await;
    let before = line(&before, WAITS).expect("it waits").to_owned();
    mesh.invocations().submit_invocation(SubmitInvocationRequest { spec: spec(WAITS, "{}") }).await.expect("accepted");
    tmux.shows("another depth", |screen| line(screen, WAITS).is_some_and(|line| *line != before)).await;
}

/// A larger window, the help, and the end: the terminal is given back, and the exit code says that all was well.
async fn sizes_and_end(tmux: &Tmux) {
    tmux.resize(LARGE).await;
    tmux.shows("the larger window", |screen| screen.lines().nth(1).is_some_and(|tabs| tabs.contains("8 Invocations")))
        .await;
    tmux.press(&["?"]).await;
    tmux.shows("the help", |screen| screen.contains("Ctrl-C")).await;
    println!("{}", tmux.screen(false).await);
    tmux.press(&["x", "q"]).await;
    tmux.shows("the end", |screen| screen.contains("ended with 0") && !screen.contains("Circuits")).await;
}

/// Colours where they may be, and none with NO_COLOR.
async fn colours(mesh: &Mesh, top: &str) {
    for (environment, coloured) in [("env -u NO_COLOR", true), ("env NO_COLOR=1", false)] {
        let tmux = Tmux::start(mesh.directory(), SMALL, &format!("{environment} {top}")).await;
        tmux.shows("every service", |screen| screen.matches("serving").count() == Peer::ALL.len()).await;
        let screen = tmux.screen(true).await;
        assert_eq!(screen.contains("\u{1b}[38;") || screen.contains(";38;5;"), coloured, "{environment}\n{screen}");
    }
}
