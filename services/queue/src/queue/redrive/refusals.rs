//! In what words an invocation is told that it was not redriven.

use std::time::Duration;

use holdfast_rpc::Error;
use uuid::Uuid;

use super::NotThis;
use crate::domain::invocation::Status;
use crate::store::NotRedriven;

pub(super) fn unsuitable(id: Uuid, status: Status, statuses: &[Status]) -> Option<NotThis> {
    (!statuses.contains(&status)).then(|| refused(id, NotRedriven::Is(status), statuses))
}

pub(super) fn refused(id: Uuid, why: NotRedriven, statuses: &[Status]) -> NotThis {
    let (reason, message) = match why {
        NotRedriven::Unknown => ("NOT_FOUND", "there is no such invocation".to_owned()),
        NotRedriven::Is(status @ (Status::Queued | Status::Leased)) => {
            ("NOT_ENDED", format!("it has not ended: it is {status:?}"))
        }
        NotRedriven::Is(Status::Succeeded) => ("SUCCEEDED", "it has succeeded".to_owned()),
        NotRedriven::Is(status) => ("OTHER_STATE", format!("it is {status:?}; asked for was {statuses:?}")),
    };
    NotThis { id, reason, message, retry_after: None }
}

pub(super) fn no_room(id: Uuid, error: &Error) -> NotThis {
    NotThis { id, reason: "QUEUE_FULL", message: error.to_string(), retry_after: error.retry_after() }
}

pub(super) fn behind(id: Uuid, retry_after: Option<Duration>) -> NotThis {
    let message = "one before it in its session was not redriven".to_owned();
    NotThis { id, reason: "BEHIND_ANOTHER", message, retry_after }
}

pub(super) fn unavailable(id: Uuid, error: &Error) -> NotThis {
    if error.may_have_happened() {
        let message = format!("it may have been redriven: look at it, or ask again with the same redrive_id ({error})");
        return NotThis { id, reason: "IN_DOUBT", message, retry_after: error.retry_after() };
    }
    NotThis { id, reason: "UNAVAILABLE", message: error.to_string(), retry_after: error.retry_after() }
}
