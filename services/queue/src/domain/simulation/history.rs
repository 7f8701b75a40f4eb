//! What happened, in order.

use uuid::Uuid;

use super::TENANTS;
use crate::domain::invocation::Status;
use crate::domain::time::Moment;

/// How a lease ended without the end of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Failed,
    Released,
    Lost,
}

/// One thing that became durable, or that somebody was told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Happened {
    Accepted {
        id: Uuid,
        tenant: usize,
        session: Option<i64>,
        key: Option<u64>,
    },
    /// A caller was told that it is accepted.
    Acknowledged {
        id: Uuid,
    },
    /// There was no room.
    Full,
    /// A process begins to give out what is ready.
    Round,
    /// It gives one of a tenant's to a worker that may have anybody's; so many were ready of each then.
    Picked {
        agent: usize,
        tenant: usize,
        ready: [usize; TENANTS.len()],
    },
    Leased {
        id: Uuid,
        lease: Uuid,
        stream: Option<Uuid>,
        fence: u64,
        at: Moment,
        /// Its deadline had passed.
        late: bool,
        /// Its time had not come.
        early: bool,
    },
    /// The lease has its full time from now on.
    Renewed {
        lease: Uuid,
        at: Moment,
    },
    /// The lease goes on under another stream.
    Adopted {
        lease: Uuid,
        stream: Uuid,
    },
    Broke {
        stream: Uuid,
        at: Moment,
    },
    /// The worker of a broken stream is back.
    Returned {
        stream: Uuid,
    },
    /// The lease is over, and the invocation waits again.
    Requeued {
        id: Uuid,
        lease: Uuid,
        why: Why,
        at: Moment,
    },
    Ended {
        id: Uuid,
        lease: Option<Uuid>,
        status: Status,
        reason: Option<String>,
        /// It ended because its lease was lost, and lost too often.
        lost: bool,
        lost_out: bool,
        raise: Option<u64>,
        at: Moment,
    },
    /// A worker was told whether its end of a lease counts.
    Told {
        lease: Uuid,
        counts: bool,
    },
    /// A caller was told that it is cancelled.
    Cancelled {
        id: Uuid,
    },
    Redriven {
        id: Uuid,
    },
    /// A process counts so many that wait where there are others.
    Counted {
        counts: u64,
        are: u64,
    },
    /// Something was done to the system: by its kind.
    Injected(&'static str),
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct History {
    pub(super) events: Vec<Happened>,
    /// Whether limits hold to the item: where one process counts.
    pub(super) strict: bool,
}

impl History {
    pub(super) fn count(&self, which: impl Fn(&Happened) -> bool) -> usize {
        self.events.iter().filter(|event| which(event)).count()
    }

    pub(super) fn leases(&self) -> usize {
        self.count(|event| matches!(event, Happened::Leased { .. }))
    }

    pub(super) fn injected(&self) -> impl Iterator<Item = &'static str> {
        self.events.iter().filter_map(|event| match event {
            Happened::Injected(kind) => Some(*kind),
            _ => None,
        })
    }
}
