//! Leases that moved: to another stream, or to this process.

use std::sync::Arc;

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
                let worker = Arc::clone(&kept.lease.worker);
                self.keep(core, *kept, now);
                if let AdoptWhy::Shown(Some(stream)) = tag.why
                    && !core.takers.contains_key(&stream)
                {
                    // It broke before it had taken its leases over.
                    let until = now.moment.after(*self.config.stream_grace);
                    core.leases.broke(stream, worker, Confines::Unknown, until);
                }
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
            worker: Arc::clone(&lease.worker),
            stream: lease.stream,
            token: self.token_of(&kept),
            origin: Origin::Unread,
        };
        core.leases.begin(lease.id, held, until);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use holdfast_config::Span;
    use holdfast_rpc::lease::LeaseKey;
    use holdfast_rpc::service::Stop;

    use super::*;
    use crate::config::Config;
    use crate::queue::outage::{ask, submission};
    use crate::queue::{Hello, LeaseAsk, Outbox, Queue, Work};
    use crate::reaper;

    #[tokio::test]
    async fn a_stream_that_breaks_before_it_has_taken_its_leases_over_leaves_them_no_more_than_its_grace() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let span = |millis| Span(Duration::from_millis(millis));
        let config = Config { stream_grace: span(200), lease_ttl: span(60_000), ..Config::default() };
        let queue = Queue::open(directory.path(), config, LeaseKey::new(b"k")).await.expect("it opens");
        tokio::spawn(reaper::run(queue.clone(), Stop::new()));
        let hello = |held_tokens: Vec<String>, credits| Hello {
            worker: "w".into(),
            agents: vec!["a".into()],
            tenant: None,
            held_tokens,
            credits,
        };
        let id = queue.enqueue(submission()).await.expect("there is room").id;
        let outbox = Arc::new(Outbox::new(1 << 20));
        let stream = queue.open_stream(hello(Vec::new(), 1), Arc::clone(&outbox)).await.expect("there is room");
        let token = loop {
            let run = poll_fn(|cx| outbox.poll(cx, 1, |_, _| false)).await.expect("it goes on").expect("it is well");
            if let Some(Work::Lease(grant)) = run.items.into_iter().next() {
                break grant.token.to_string();
            }
        };
        drop(stream);
        let mut second = Box::pin(queue.open_stream(hello(vec![token], 0), Arc::new(Outbox::new(1 << 20))));
        assert!(futures::poll!(&mut second).is_pending(), "the store has not answered");
        drop(second);
        let soon = LeaseAsk { wait: Duration::from_secs(10), ..ask() };
        let grant = queue.lease(soon).await.expect("it is asked").pop().expect("it does not wait for the lease's end");
        assert_eq!(grant.record.accepted.id, id);
    }
}
