//! What the methods of the services behind are to this door. One that is not named here is asked and answered.

use crate::admission::Kind;
use crate::outflow::Slow;

const WORK: &str = "/holdfast.queue.v1.QueueService/Work";

/// Streams of events: a reader may go on from any place.
const EVENTS: [&str; 4] = [
    "/holdfast.queue.v1.QueueService/WatchInvocation",
    "/holdfast.state.v1.StateService/Watch",
    "/holdfast.tool.v1.ToolService/WatchCircuits",
    "/holdfast.llm.v1.LlmService/WatchCapacity",
];

/// Stands in line for as long as its caller likes.
const LOCK: &str = "/holdfast.state.v1.StateService/AcquireLock";

/// What ends or renews work that is under way: refusing it would only make more work.
const REPORTS: [&str; 8] = [
    "/holdfast.queue.v1.QueueService/Heartbeat",
    "/holdfast.queue.v1.QueueService/ReportProgress",
    "/holdfast.queue.v1.QueueService/Complete",
    "/holdfast.queue.v1.QueueService/Fail",
    "/holdfast.queue.v1.QueueService/Release",
    "/holdfast.state.v1.StateService/RegisterFence",
    "/holdfast.state.v1.StateService/RenewLock",
    "/holdfast.state.v1.StateService/ReleaseLock",
];

/// How a call counts that shows no lease.
pub(super) fn kind(path: &str) -> Kind {
    match path {
        WORK | "/holdfast.queue.v1.QueueService/Lease" => Kind::Worker,
        path if path == LOCK || EVENTS.contains(&path) => Kind::Wait,
        path if REPORTS.contains(&path) => Kind::Report,
        _ => Kind::Call,
    }
}

/// Streams that end only when their client does: a gateway that drains ends them itself.
pub(super) fn is_endless(path: &str) -> bool {
    path == WORK || EVENTS.contains(&path)
}

pub(super) fn slow(path: &str) -> Slow {
    if EVENTS.contains(&path) { Slow::Dropped } else { Slow::WaitedFor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access;

    #[test]
    fn every_method_that_is_named_here_is_one() {
        for path in EVENTS.iter().chain(&REPORTS).chain(&[WORK, LOCK]) {
            assert!(access::access(path).is_some(), "{path}");
        }
    }

    #[test]
    fn who_waits_is_no_call_and_a_completion_is_a_report() {
        assert_eq!(kind(LOCK), Kind::Wait);
        assert_eq!(kind("/holdfast.queue.v1.QueueService/Lease"), Kind::Worker);
        assert_eq!(kind("/holdfast.queue.v1.QueueService/Complete"), Kind::Report);
        assert_eq!(kind("/holdfast.queue.v1.QueueService/GetInvocation"), Kind::Call);
    }
}
