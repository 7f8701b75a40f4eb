//! `holdfast up`: the whole mesh on this machine, each service a process of its own.

mod crew;
mod events;
mod guard;
mod health;
mod lines;
pub(crate) mod plan;
mod supervisor;

use std::io::Read as _;
use std::time::Instant;

use holdfast_rpc::service::PARENT_PIPE;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::cli::Up;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::source::Source;

use crew::Crew;
use events::{Action, Event, Outcome};
use lines::Lines;
use plan::Plan;
use supervisor::Supervisor;

/// Events that may wait: more than all services can have at once.
const EVENTS_MAX: usize = 64;

/// Runs the mesh until the user ends it.
pub(crate) async fn run(arguments: Up, source: Source, output: Output) -> Result<Exit, Failure> {
    let plan = Plan::make(&arguments, source)?;
    let claim = guard::claim(plan.data())?;
    guard::ports_are_free(&plan).await?;
    let lines = Lines::new(&plan, output);
    lines.opening();

    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let crew = Crew::new(plan, events)?;
    let stop = Stop::listen()?;
    let outcome = supervise(crew, inbox, stop, &lines).await;
    drop(claim);
    lines.closing();
    Ok(match outcome {
        Outcome::Stopped => Exit::Done,
        Outcome::Failed => Exit::Usage,
    })
}

/// Brings events to the supervisor and does what it says, until all is over.
async fn supervise(mut crew: Crew, mut inbox: mpsc::Receiver<Event>, mut stop: Stop, lines: &Lines) -> Outcome {
    let (mut supervisor, mut actions) = Supervisor::start(&crew.peers());
    loop {
        for action in actions {
            match action {
                Action::Start(peer) => crew.start(peer),
                Action::Drain(peer) => crew.drain(peer),
                Action::Kill(peer) => crew.kill(peer),
                Action::Say(line) => lines.say(&line),
                Action::End(outcome) => return outcome,
            }
        }
        let tick = supervisor.next_tick();
        let event = tokio::select! {
            Some(event) = inbox.recv() => event,
            () = stop.asked() => Event::Stop,
            () = until(tick) => Event::Tick,
        };
        actions = supervisor.handle(event, Instant::now());
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Ctrl-C and SIGTERM; and the end of a program that started us at the end of a pipe, as services are started.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    parent: Option<oneshot::Receiver<()>>,
}

impl Stop {
    fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::Machine(format!("cannot listen for signals: {error}")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            parent: std::env::var_os(PARENT_PIPE).map(|_| parents_end()),
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = ended(&mut self.parent) => {}
        }
    }
}

/// Told when the parent's end of our standard input closes. Nothing is ever written to it.
fn parents_end() -> oneshot::Receiver<()> {
    let (tell, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0; 1]);
        let _ = tell.send(());
    });
    ended
}

/// Ends once: a second time would ask the services to end at once.
async fn ended(parent: &mut Option<oneshot::Receiver<()>>) {
    match parent {
        Some(end) => {
            let _ = end.await;
            *parent = None;
        }
        None => std::future::pending().await,
    }
}
