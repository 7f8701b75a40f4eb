//! `holdfast top`: how the mesh stands, live. Duties ask and report; the state takes reports and keys in; what is drawn follows
//! from the state alone.

mod document;
mod duties;
mod event;
mod figures;
mod history;
mod known;
mod metrics;
mod panes;
mod places;
mod plain;
mod render;
#[cfg(test)]
mod stage;
mod state;
mod table;
mod terminal;
mod theme;
mod update;
mod write;

use std::time::{Duration, Instant};

use holdfast_rpc::time::now_micros;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::cli::{Global, Top};
use crate::commands::gateway;
use crate::exit::{Exit, Failure};
use crate::output::Output;

use duties::Duties;
use event::Event;
use state::{State, View};
use terminal::{Terminal, Typed};

/// What has changed is drawn this often at most; keys are answered at once.
const FRAME: Duration = Duration::from_millis(100);
/// Ages grow while nothing happens.
const CLOCK: Duration = Duration::from_millis(500);
/// A snapshot waits no longer for those who do not answer.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(5);

/// Shows the mesh until its user has seen enough, or once.
pub(crate) async fn run(arguments: &Top, global: &Global, output: Output) -> Result<Exit, Failure> {
    let mut gateway = gateway::find(global)?;
    if let Some(port) = arguments.port_base {
        gateway = gateway.on_port(port);
    }
    let addresses: Vec<_> = gateway.addresses().map(str::to_owned).collect();
    let places = places::find(global, arguments, &addresses)?;
    let state = State::new(&addresses.join(", "), &places, Instant::now(), now_micros());
    // Whether anybody is there is shown, not asked first: who looks may want to see just that.
    let asking = || Duties::start(&places, &gateway);
    if arguments.once || output.is_json() {
        return Ok(snapshot(state, asking()?, output).await);
    }
    live(state, asking).await
}

/// Everything once, as far as it answers in time.
async fn snapshot(mut state: State, mut duties: Duties, output: Output) -> Exit {
    // The invocations are asked for only where they are shown.
    state.view = View::Invocations;
    duties.want(state.wanted());
    let gathered = async {
        while !state.known.is_complete() {
            let report = duties.next().await;
            state.update(Event::Told(report), Instant::now());
        }
    };
    // What has not answered by then is told as such.
    let _ = timeout(SNAPSHOT_WITHIN, gathered).await;
    state.update(Event::Clock(now_micros()), Instant::now());
    output.print(|| document::document(&state), || plain::text(&state));
    if state.gateway_is_lost() { Exit::Refused } else { Exit::Done }
}

async fn live(mut state: State, asking: impl FnOnce() -> Result<Duties, Failure>) -> Result<Exit, Failure> {
    let mut terminal = Terminal::open()?;
    let mut duties = asking()?;
    let listen = |kind| signal(kind).map_err(|error| Failure::Machine(format!("cannot listen for signals: {error}")));
    // Ctrl-C is a key here; a signal of that name comes from elsewhere.
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hangup = listen(SignalKind::hangup())?;
    let (mut frames, mut clock) = (interval(FRAME), interval(CLOCK));
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changed = true;
    while !state.over {
        select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => break,
            typed = terminal.typed() => match typed {
                Some(Typed::Key(key)) => {
                    state.update(Event::Key(key), Instant::now());
                    duties.want(state.wanted());
                    terminal.draw(&state)?;
                }
                Some(Typed::Resized) => terminal.draw(&state)?,
                None => break,
            },
            _ = frames.tick(), if changed => {
                terminal.draw(&state)?;
                changed = false;
            }
            report = duties.next() => {
                state.update(Event::Told(report), Instant::now());
                while let Some(report) = duties.ready() {
                    state.update(Event::Told(report), Instant::now());
                }
                changed = true;
            }
            _ = clock.tick() => {
                state.update(Event::Clock(now_micros()), Instant::now());
                changed = true;
            }
        }
    }
    Ok(Exit::Done)
}
