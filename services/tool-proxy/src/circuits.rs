//! All circuits of this process: one for each tool, one for each host behind them, and the news of their changes.
//!
//! ```text
//!   guard ─► circuit ─► breaker ─► changed ─► post ─┬─► metrics, log, watchers
//!              │ a probe is due                     ├─► sharing ◄─► Redis ◄─► other processes
//!              └────────────────► sharing           └─► survival ──► the state service
//! ```

mod circuit;
mod guard;
mod keeper;
mod pass;
mod report;
mod seat;
mod sharing;
mod survival;
mod word;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join;
use holdfast_resilience::breaker::{Mode, Settings};
use holdfast_rpc::Error;
use parking_lot::RwLock;
use reqwest::Url;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use self::circuit::Inner;
use self::report::{Bells, Post};
pub(crate) use self::{
    circuit::{Circuit, Held},
    guard::{Guard, Leave},
    keeper::Keeper,
    report::{Kind, Report},
    sharing::Sharing,
    word::Word,
};

/// So many changes may wait for a slow watcher; one that falls behind is told how everything stands instead.
const NEWS_MAX: usize = 256;
/// The first calls wait so long for what is known of the circuits elsewhere.
const RECOVERY: Duration = Duration::from_secs(2);
/// The end waits so long for what is still to be kept.
const ENDING: Duration = Duration::from_secs(1);

/// The circuits of all tools and hosts. One that guards nothing any more is forgotten.
#[derive(Debug)]
pub(crate) struct Circuits {
    known: Arc<Known>,
    hosts: Settings,
    news: broadcast::Sender<Report>,
    bells: Bells,
    keeper: Keeper,
    sharing: Option<Arc<Sharing>>,
}

/// Circuits by name, as long as somebody holds them.
#[derive(Debug, Default)]
struct Known(RwLock<BTreeMap<Arc<str>, Weak<Inner>>>);

impl Circuits {
    /// `hosts` are the settings of the circuits of hosts. Nothing is opened yet.
    pub(crate) fn new(hosts: Settings, keeper: Keeper, sharing: Option<Sharing>) -> Self {
        Self {
            known: Arc::default(),
            hosts,
            news: broadcast::channel(NEWS_MAX).0,
            bells: Bells::default(),
            keeper,
            sharing: sharing.map(Arc::new),
        }
    }

    /// The circuit of a tool: the one of this name that is in use, or a new one.
    pub(crate) fn guard(&self, name: &str, settings: Settings) -> Circuit {
        self.find_or_add(name, Kind::Tool, settings)
    }

    /// The circuit of the host behind a URL, shared by everything on it; none where there is no host.
    pub(crate) fn host(&self, url: &Url) -> Option<Circuit> {
        let name = format!("host:{}:{}", url.host_str()?, url.port_or_known_default()?);
        Some(self.find_or_add(&name, Kind::Host, self.hosts.clone()))
    }

    fn find_or_add(&self, name: &str, kind: Kind, settings: Settings) -> Circuit {
        let mut known = self.known.0.write();
        if let Some(inner) = known.get(name).and_then(Weak::upgrade) {
            return Circuit { inner };
        }
        known.retain(|_, circuit| circuit.strong_count() > 0);
        let post = Post::new(name, kind, self.news.clone(), self.bells.clone());
        let circuit = Circuit::new(post, settings, self.sharing.clone());
        known.insert(name.into(), Arc::downgrade(&circuit.inner));
        self.bells.ring();
        circuit
    }

    /// Starts to keep and to share how circuits stand, and waits, for a bounded time, until what is known of them elsewhere
    /// has been taken over. The duties end when they are dropped.
    pub(crate) async fn start(&self) -> JoinSet<()> {
        let mut duties = JoinSet::new();
        let recovered = Arc::new(Notify::new());
        let (keeper, known) = (self.keeper.clone(), Arc::clone(&self.known));
        duties.spawn(survival::run(keeper, known, Arc::clone(&self.bells.survival), Arc::clone(&recovered)));
        if let Some(sharing) = &self.sharing {
            let (sharing, known) = (Arc::clone(sharing), Arc::clone(&self.known));
            duties.spawn(sharing::run(sharing, known, Arc::clone(&self.bells.sharing)));
        }
        let shared = async {
            if let Some(sharing) = &self.sharing {
                sharing.settled().await;
            }
        };
        if timeout(RECOVERY, join(recovered.notified(), shared)).await.is_err() {
            warn!("how circuits stood is not known yet: they begin closed");
        }
        duties
    }

    /// Keeps what is not kept yet, for a bounded time: this process ends.
    pub(crate) async fn end(&self) {
        let kept = timeout(ENDING, survival::round(&self.keeper, &self.known)).await;
        if !matches!(kept, Ok(Ok(()))) {
            warn!("how circuits stand at the end of this process may not be kept");
        }
    }

    /// An operator's word on a circuit: kept durably, then in force here, then with the others.
    ///
    /// # Errors
    /// NOT_FOUND; UNAVAILABLE where it cannot be kept.
    pub(crate) async fn set(&self, name: &str, mode: Mode, by: &str, why: &str) -> Result<Report, Error> {
        let inner = self.known.find(name).ok_or_else(|| Error::not_found(format!("circuit {name:?}")))?;
        let heard = inner.post.word.lock().clone();
        let word = Word { mode, by: by.into(), why: why.into(), stamp: 0 };
        let word = self.keeper.keep_word(&inner.post.name, word, heard).await?;
        info!(circuit = name, ?mode, by, why, "an operator set a circuit");
        inner.hear(&word);
        Ok(Circuit { inner }.report())
    }

    /// How all of them stand, by name.
    pub(crate) fn list(&self) -> Vec<Report> {
        self.known.all().into_iter().map(|inner| Circuit { inner }.report()).collect()
    }

    /// Each change from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Report> {
        self.news.subscribe()
    }
}

impl Known {
    fn find(&self, name: &str) -> Option<Arc<Inner>> {
        self.0.read().get(name)?.upgrade()
    }

    fn all(&self) -> Vec<Arc<Inner>> {
        self.0.read().values().filter_map(Weak::upgrade).collect()
    }
}
