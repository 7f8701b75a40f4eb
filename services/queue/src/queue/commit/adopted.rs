//! Leases that moved: to another stream, or to this process.

use holdfast_storage::Failure;

use crate::domain::leases::{Held, Origin};
use crate::domain::time::Now;
use crate::queue::Shared;
use crate::queue::core::Core;
use crate::queue::tag::{AdoptTag, AdoptWhy};
use crate::store::KeptLease;

impl Shared {
    pub(super) fn adopted(
        &self,
        core: &mut Core,
        tag: AdoptTag,
        adopted: Result<Option<Box<KeptLease>>, Failure>,
        now: Now,
    ) {
        let moved = match adopted {
            Ok(Some(kept)) => {
                self.keep(core, *kept, now);
                Some(true)
            }
            Ok(None) => {
                if tag.why == AdoptWhy::Doubted {
                    core.leases.end(tag.lease);
                }
                Some(false)
            }
            Err(_) => None,
        };
        let _ = tag.reply.send(moved);
    }

    /// This process times a lease from now on, for its full time. That the process which kept it is gone says nothing of its
    /// worker: that one may be connected to it still, and needs its time to find out and to come.
    fn keep(&self, core: &mut Core, kept: KeptLease, now: Now) {
        let (until, lease) = (now.moment.after(*self.config.lease_ttl), &kept.lease);
        if core.leases.get(lease.id).is_some() {
            match lease.stream {
                Some(stream) => core.leases.adopt(lease.id, stream, until),
                None if core.leases.renew(lease.id, until) => {}
                None => core.leases.keep(lease.id, until),
            }
            return;
        }
        let held = Held {
            invocation: kept.id,
            agent: kept.agent.as_str().into(),
            tenant: kept.tenant.as_str().into(),
            bytes: 0,
            worker: std::sync::Arc::clone(&lease.worker),
            stream: lease.stream,
            token: self.token_of(&kept),
            origin: Origin::Unread,
        };
        core.leases.begin(lease.id, held, until);
    }
}
