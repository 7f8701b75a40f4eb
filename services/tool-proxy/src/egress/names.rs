//! From a name to addresses, past the guard.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::Guard;
use super::refusal::Refusal;

/// Resolves the guarded host's name and no other, for each connection anew, to allowed addresses only. What is checked here
/// is what is connected to: nothing asks again, so a name that changes its mind between check and use gains nothing.
pub(super) struct Names {
    pub(super) guard: Arc<Guard>,
    pub(super) asked: Arc<dyn Resolve>,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.guard);
        if guard.home().host_str() != Some(name.as_str()) {
            let refusal = guard.refused(Refusal::Elsewhere(name.as_str().to_owned()));
            return Box::pin(std::future::ready(Err(refusal.into())));
        }
        let asked = self.asked.resolve(name);
        Box::pin(async move {
            // The port is the URL's, whatever was answered.
            let found: Vec<_> = asked.await?.map(|found| with_port(found, 0)).collect();
            guard.admit_all(&found).map_err(|refusal| guard.refused(refusal))?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// The system's own resolver.
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}
