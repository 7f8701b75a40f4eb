//! One server: connected, listed, and connected again.

use std::sync::Arc;
use std::time::Duration;

use holdfast_resilience::Backoff;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::offer::Offers;
use crate::catalog::Catalog;
use crate::config::Mcp;
use crate::metrics;
use crate::upstream::{Greeting, Link, Place, Running, Session, Unmet};

/// Between two tries.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(250), Duration::from_secs(30));

/// A connection that has held so long was a good one: the next failure is the first.
const GOOD: Duration = Duration::from_secs(10);

/// A program may have to be fetched before it starts, and a server without the stateless revision may leave the first
/// question unanswered.
const CONNECT_MAX: Duration = Duration::from_secs(60);

/// One page of a list; less where even a call must not take so long.
const PAGE_MAX: Duration = Duration::from_secs(10);

/// All pages of a list.
const LIST_MAX: Duration = Duration::from_secs(30);

/// A server that forgets its sessions as soon as they are made gets a new one no more often.
const SESSIONS_APART: Duration = Duration::from_millis(200);

/// News may come in bursts, and a server that changes all the time must not be listed all the time.
const NEWS_APART: Duration = Duration::from_millis(200);

pub(super) struct Server {
    name: String,
    refresh: Duration,
    page_timeout: Duration,
    place: Place,
    offers: Offers,
    catalog: Arc<Catalog>,
    link: watch::Sender<Link>,
    greeting: Greeting,
}

/// A connection that works, with the process behind it where there is one.
struct Connected {
    session: Arc<Session>,
    running: Option<Running>,
}

impl Server {
    pub(super) fn new(name: &str, config: &Mcp, place: Place, offers: Offers, catalog: Arc<Catalog>) -> Self {
        Self {
            name: name.to_owned(),
            refresh: *config.refresh,
            page_timeout: PAGE_MAX.min(*config.timeout),
            place,
            offers,
            catalog,
            link: watch::Sender::new(Link::Coming),
            greeting: Greeting::Discover,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut failed = 0;
        while !stop.is_cancelled() {
            let since = Instant::now();
            let why = match stop.run_until_cancelled(self.connect()).await {
                None => break,
                Some(Ok(mut connected)) => {
                    let why = self.keep(&mut connected, &stop).await;
                    let is_lost = connected.session.is_lost();
                    self.part(connected, &stop).await;
                    if is_lost {
                        info!(server = self.name, "MCP server has forgotten the session");
                        stop.run_until_cancelled(sleep_until(since + SESSIONS_APART)).await;
                        continue;
                    }
                    why
                }
                Some(Err(why)) => why,
            };
            if stop.is_cancelled() {
                break;
            }
            metrics::mcp_server_stands(&self.name, false);
            failed = if since.elapsed() >= GOOD { 1 } else { failed + 1 };
            let pause = BACKOFF.delay(failed, &mut rand::rng());
            warn!(server = self.name, why, failed, ?pause, "MCP server is away");
            self.set_away();
            self.catalog.unlisted(&self.name);
            stop.run_until_cancelled(sleep(pause)).await;
        }
        self.link.send_replace(Link::Away);
    }

    /// A connection over which the tools could be listed.
    async fn connect(&mut self) -> Result<Connected, String> {
        self.link.send_if_modified(|link| {
            let gone = is_gone(link);
            if gone {
                *link = Link::Coming;
            }
            gone
        });
        let (session, running) = match self.greet(self.greeting).await {
            Ok(met) => met,
            Err(unmet) if unmet.nobody => return Err(unmet.why),
            // It is there, but wants to be spoken to in the other way.
            Err(unmet) => {
                let other = self.greeting.other();
                let met = self.greet(other).await.map_err(|last| format!("{}; {}", unmet.why, last.why))?;
                self.greeting = other;
                met
            }
        };
        let connected = Connected { session: Arc::new(session), running };
        match self.list(&connected.session).await {
            Ok(count) => {
                let revision = connected.session.revision();
                info!(server = self.name, revision, tools = count, "MCP server is connected");
                self.link.send_replace(Link::Here(Arc::clone(&connected.session)));
                metrics::mcp_server_stands(&self.name, true);
                Ok(connected)
            }
            Err(why) => {
                if let Some(running) = connected.running {
                    drop(connected.session);
                    running.end().await;
                }
                Err(why)
            }
        }
    }

    async fn greet(&self, greeting: Greeting) -> Result<(Session, Option<Running>), Unmet> {
        let silent = |_| Unmet { why: "it does not answer".into(), nobody: false };
        timeout(CONNECT_MAX, self.place.connect(greeting)).await.map_err(silent)?
    }

    /// Lists anew whenever that is due. Returns why the connection is no good any more.
    async fn keep(&mut self, connected: &mut Connected, stop: &CancellationToken) -> String {
        let mut due = interval_at(Instant::now() + self.refresh, self.refresh);
        loop {
            tokio::select! {
                () = stop.cancelled() => return "it is told to end".into(),
                () = connected.session.closed() => return "the connection ended".into(),
                () = connected.session.lost() => return "the session is lost".into(),
                () = ended(connected.running.as_mut()) => return "its process ended".into(),
                () = async {
                    connected.session.changed().await;
                    sleep(NEWS_APART).await;
                } => {}
                _ = due.tick() => {}
            }
            match stop.run_until_cancelled(self.list(&connected.session)).await {
                None => return "it is told to end".into(),
                Some(Ok(_)) => {}
                Some(Err(why)) => return why,
            }
        }
    }

    /// Over HTTP, the calls may go on over the connection until there is another. A process is ended first.
    async fn part(&mut self, connected: Connected, stop: &CancellationToken) {
        let Connected { session, running } = connected;
        if running.is_some() || stop.is_cancelled() {
            self.link.send_replace(if stop.is_cancelled() { Link::Away } else { Link::Coming });
        }
        let Some(running) = running else { return };
        // What is under way ends with the process; its input is closed with the session.
        session.close();
        drop(session);
        running.end().await;
    }

    fn set_away(&self) {
        self.link.send_if_modified(|link| {
            let gone = is_gone(link);
            if gone {
                *link = Link::Away;
            }
            gone
        });
    }

    async fn list(&mut self, session: &Session) -> Result<usize, String> {
        let listed = timeout(LIST_MAX, session.tools(self.page_timeout))
            .await
            .unwrap_or_else(|_| Err("that takes too long".into()))
            .map_err(|why| format!("its tools cannot be listed: {why}"))?;
        let tools = self.offers.take(&listed, &self.link);
        let count = tools.len();
        let taken = self.catalog.publish(&self.name, tools);
        self.offers.tell_taken(taken);
        metrics::mcp_tools(&self.name, count);
        Ok(count)
    }
}

fn is_gone(link: &Link) -> bool {
    !matches!(link, Link::Here(session) if session.serves())
}

async fn ended(running: Option<&mut Running>) {
    match running {
        Some(running) => running.ended().await,
        None => std::future::pending().await,
    }
}
