//! Leases that moved: to another stream, or to this process.

use holdfast_storage::Failure;

use crate::domain::leases::{Confines, Held, Origin};
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
                self.keep(core, *kept, tag.why, now);
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

    /// This process times a lease from now on, for its full time.
    fn keep(&self, core: &mut Core, kept: KeptLease, why: AdoptWhy, now: Now) {
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
        // Its worker was connected to the process that is gone, and may come here. One that is connected here has other
        // leases, which must not go with this one.
        if let (AdoptWhy::Orphaned, Some(stream)) = (why, lease.stream)
            && !core.takers.contains_key(&stream)
        {
            let grace = now.moment.after(*self.config.stream_grace);
            core.leases.broke(stream, std::sync::Arc::clone(&lease.worker), Confines::Unknown, grace);
        }
    }
}
