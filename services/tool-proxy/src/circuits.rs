//! All circuit breakers of this process, and the news of their changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_resilience::breaker::{Breaker, Settings, Snapshot};
use tokio::sync::broadcast;
use tracing::{info, warn};

use crate::metrics;

/// So many changes may wait for a slow watcher; one that falls behind is told how everything stands instead.
const NEWS_MAX: usize = 256;

/// A breaker by its name.
#[derive(Debug, Clone)]
pub(crate) struct Circuit {
    pub(crate) name: Arc<str>,
    pub(crate) snapshot: Snapshot,
}

/// The breakers of all tools.
#[derive(Debug)]
pub(crate) struct Circuits {
    breakers: BTreeMap<Arc<str>, Breaker>,
    news: broadcast::Sender<Circuit>,
}

impl Circuits {
    pub(crate) fn new() -> Self {
        Self { breakers: BTreeMap::new(), news: broadcast::channel(NEWS_MAX).0 }
    }

    /// A new breaker, whose changes are logged, counted and told from now on.
    pub(crate) fn guard(&mut self, name: &str, settings: Settings) -> Breaker {
        let name: Arc<str> = name.into();
        let (told, news) = (Arc::clone(&name), self.news.clone());
        let breaker = Breaker::with_listener(settings, move |snapshot| tell(&news, &told, *snapshot));
        metrics::circuit_stands(&name, breaker.snapshot().state);
        self.breakers.insert(name, breaker.clone());
        breaker
    }

    /// How all of them stand, by name.
    pub(crate) fn list(&self) -> Vec<Circuit> {
        let circuit =
            |(name, breaker): (&Arc<str>, &Breaker)| Circuit { name: name.clone(), snapshot: breaker.snapshot() };
        self.breakers.iter().map(circuit).collect()
    }

    /// Each change from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Circuit> {
        self.news.subscribe()
    }
}

fn tell(news: &broadcast::Sender<Circuit>, name: &Arc<str>, snapshot: Snapshot) {
    metrics::circuit_changed(name, snapshot.state);
    match snapshot.state {
        holdfast_resilience::breaker::State::Open => {
            warn!(circuit = %name, reason = %snapshot.reason, retry_after = ?snapshot.retry_after, "circuit opened");
        }
        state => info!(circuit = %name, ?state, reason = %snapshot.reason, "circuit changed"),
    }
    // Nobody may be watching.
    let _ = news.send(Circuit { name: name.clone(), snapshot });
}
