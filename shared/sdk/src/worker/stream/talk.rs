//! An open stream: messages pass between the queue, the desk and the handlers.

use std::{
    future::Future,
    time::{SystemTime, UNIX_EPOCH},
};

use holdfast_proto::queue::v1::{self as pb, work_request::Message as Up, work_response::Message as Down};
use tokio::{task::JoinError, time::Instant};
use tonic::Streaming;

use super::{
    End, Finished, Stream,
    line::{Line, closed, silent},
};
use crate::{
    Context, Error,
    worker::{attempt, report::Report, shutdown::Shutdown},
};

impl Stream {
    pub(super) async fn talk<F: Future<Output = ()>>(
        &mut self,
        line: &Line,
        down: &mut Streaming<pb::WorkResponse>,
        shutdown: &mut Shutdown<'_, F>,
    ) -> End {
        loop {
            if !shutdown.is_working() && self.desk.is_idle() {
                return End::Left;
            }
            let said = tokio::select! {
                message = down.message() => match message {
                    Ok(Some(message)) => self.receive(message),
                    Ok(None) => return End::Broken(closed()),
                    Err(status) => return End::Broken(status.into()),
                },
                Some(ended) = self.attempts.join_next() => Ok(self.ended(ended).into_iter().collect()),
                () = tokio::time::sleep_until(self.desk.due()) => self.desk.tick(Instant::now()).ok_or_else(silent),
                () = shutdown.turn() => {
                    // Credits cannot be taken back: a worker that drains goes on over a stream that never had any. And
                    // one that has waited long enough leaves for good.
                    let goes_on = matches!(self.next_phase(shutdown), super::Phase::Settling(_));
                    if !goes_on {
                        return End::Left;
                    }
                    Ok(Vec::new())
                }
            };
            let sent = said.and_then(|said: Vec<Up>| line.send(said));
            if let Err(error) = sent.and_then(|()| line.send(self.desk.room())) {
                return End::Broken(error);
            }
        }
    }

    fn receive(&mut self, message: pb::WorkResponse) -> Result<Vec<Up>, Error> {
        let answer = match message.message {
            Some(Down::Leases(granted)) => {
                let answers = granted.leases.into_iter().map(|lease| self.start(lease));
                return answers.filter_map(Result::transpose).collect();
            }
            Some(Down::Heartbeat(answer)) => {
                self.desk.renewed(&answer);
                None
            }
            Some(Down::Settled(settled)) => self.desk.settled(&settled.token, &settled.status, Instant::now()),
            Some(Down::Revoked(revoked)) => {
                self.desk.revoked(&revoked.token, &revoked.reason);
                None
            }
            Some(Down::Draining(_)) => {
                tracing::info!("the queue drains: it ends this stream when it is done");
                None
            }
            // A second welcome says nothing new; what is not known comes from a newer queue.
            Some(Down::Welcome(_)) | None => None,
        };
        Ok(answer.into_iter().collect())
    }

    /// Starts a handler for a lease.
    fn start(&mut self, lease: pb::Lease) -> Result<Option<Up>, Error> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let held = match self.desk.leased(lease, Instant::now(), wall) {
            Ok(held) => held,
            Err(release) => return Ok(Some(release)),
        };
        let agent = held.invocation.spec.as_ref().map(|spec| spec.agent.clone()).unwrap_or_default();
        let Some(handler) = self.handlers.get(&agent).cloned() else {
            tracing::error!(agent, "the queue sent work that this worker did not ask for");
            return Ok(self.desk.finished(&held.token, Some(Report::Release)));
        };
        let context = Context::new(&self.links, held.clone(), self.settings.tool_patience)?;
        let hand_back = self.hand_back.clone();
        self.attempts.spawn(async move {
            let token = held.token.clone();
            let report = attempt::run(context, held, handler, hand_back).await;
            Finished { token, report }
        });
        Ok(None)
    }

    pub(super) fn ended(&mut self, ended: Result<Finished, JoinError>) -> Option<Up> {
        match ended {
            Ok(Finished { token, report }) => self.desk.finished(&token, report),
            // A handler's panic is caught within the attempt, and nobody aborts one.
            Err(error) => unreachable!("an attempt ended without a report: {error}"),
        }
    }
}
