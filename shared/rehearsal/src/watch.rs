//! Looks at everything once in a while, for what is drawn over time.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use holdfast_proto::queue::v1::ListDepthsRequest;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_rpc::Channel;
use tokio::time::{MissedTickBehavior, interval};
use tonic::Request;

use crate::ends::{Ends, Tally};
use crate::pool::Floor;
use crate::progress::Bar;

/// An answer that takes longer is given up: the next look follows.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What was seen at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// When.
    pub(crate) at: Instant,
    /// What waited in the queue, as it says; the last known where it did not say.
    pub(crate) depth: u64,
    /// What the ends had counted.
    pub(crate) tally: Tally,
    /// Workers at work.
    pub(crate) busy: u64,
    /// Those that stood in a call that hung.
    pub(crate) stalled: u64,
}

/// Whoever looks.
pub(crate) struct Watch<'a> {
    pub(crate) ends: &'a Ends,
    pub(crate) floor: &'a Floor,
    pub(crate) channel: Channel,
    pub(crate) bar: &'a Bar,
}

impl Watch<'_> {
    /// Looks again and again; ends only by being dropped.
    pub(crate) async fn run(self, every: Duration, looks: &mut Vec<Look>) -> Infallible {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let last = looks.last().copied();
            let (tally, depth) = tokio::join!(self.ends.tally(), self.depth());
            let tally = tally.ok().or(last.map(|last| last.tally)).unwrap_or_default();
            let depth = depth.or(last.map(|last| last.depth)).unwrap_or_default();
            let (busy, stalled) = self.floor.count();
            self.bar.look(depth, tally.refused, stalled);
            looks.push(Look { at: Instant::now(), depth, tally, busy, stalled });
        }
    }

    /// What waits. Only operators are told; to others nothing waits.
    async fn depth(&self) -> Option<u64> {
        let mut request = Request::new(ListDepthsRequest {});
        request.set_timeout(ANSWER_WITHIN);
        let answer = QueueServiceClient::new(self.channel.clone()).list_depths(request).await.ok()?;
        Some(answer.into_inner().depths.iter().map(|depth| depth.queued).sum())
    }
}
