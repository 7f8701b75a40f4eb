//! What asks the mesh: one task for each thing that is asked for, which tells what it finds, and asks again for as long as it
//! lives, whatever the answer.

mod gateway;
mod looking;
mod process;

use std::time::Duration;

use holdfast_rpc::Channel;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::{Code, Response, Status};

use super::event::Report;
use super::known::{Trouble, TroubleKind};
use super::places::Places;
use super::state::Wanted;
use crate::commands::gateway::Gateway;
use crate::exit::Failure;

/// Reports that may wait to be taken in.
const REPORTS_MAX: usize = 256;
/// Who says nothing for so long is not reached.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A stream that ended is opened again after this long.
const AGAIN: Duration = Duration::from_millis(250);

/// All of them. They end with this value.
pub(crate) struct Duties {
    reports: mpsc::Receiver<Report>,
    wanted: watch::Sender<Wanted>,
    /// Kept for its end.
    _tasks: JoinSet<()>,
}

impl Duties {
    /// Begins to ask: each process at its own address, and everything else through the gateway.
    ///
    /// # Errors
    /// An address is not one.
    pub(crate) fn start(places: &Places, at: &Gateway) -> Result<Self, Failure> {
        let (reporter, reports) = mpsc::channel(REPORTS_MAX);
        let (wanted, wishes) = watch::channel(Wanted::default());
        let mut tasks = JoinSet::new();
        let gateway = at.lazy_channel()?;
        for (number, service) in places.services.iter().enumerate() {
            let channel = Channel::connect(service.name, &service.address, None, at.authority());
            let channel = channel.map_err(|error| Failure::Usage(error.to_string()))?;
            tasks.spawn(process::health(number, channel.clone(), reporter.clone()));
            tasks.spawn(process::metrics(number, channel, reporter.clone()));
        }
        tasks.spawn(gateway::depths(gateway.clone(), reporter.clone()));
        tasks.spawn(gateway::circuits(gateway.clone(), reporter.clone()));
        tasks.spawn(gateway::capacity(gateway.clone(), reporter.clone()));
        tasks.spawn(gateway::invocations(gateway.clone(), wishes.clone(), reporter.clone()));
        tasks.spawn(looking::look(gateway, wishes, reporter));
        Ok(Self { reports, wanted, _tasks: tasks })
    }

    /// The next report.
    pub(crate) async fn next(&mut self) -> Report {
        match self.reports.recv().await {
            Some(report) => report,
            // No duty ends by itself.
            None => std::future::pending().await,
        }
    }

    /// One that is there already.
    pub(crate) fn ready(&mut self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    /// Says what shall be asked for beside what always is.
    pub(crate) fn want(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|before| std::mem::replace(before, wanted.clone()) != wanted);
    }
}

/// An answer, or why there is none.
async fn within<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Trouble> {
    match tokio::time::timeout(ANSWER_WITHIN, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(status.into()),
        Err(_) => Err(silent()),
    }
}

fn silent() -> Trouble {
    Trouble { kind: TroubleKind::Unreached, why: format!("no answer within {ANSWER_WITHIN:?}") }
}

/// A tick at once, and then each time; late ones push the others back.
fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Self {
        let kind = match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => TroubleKind::Unreached,
            Code::PermissionDenied | Code::Unauthenticated => TroubleKind::Denied,
            _ => TroubleKind::Refused,
        };
        Self { kind, why: status.message().to_owned() }
    }
}
