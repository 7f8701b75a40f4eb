//! Keys without a restart: the configuration's file, and those of its secrets, are looked at once a second, and read again
//! when they have changed or at SIGHUP. New, removed and changed keys of the providers that are there are taken over. A file
//! that does not hold changes nothing; what else has changed is told as waiting for a restart.

mod change;
mod files;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use holdfast_config::{Common, Document};
use holdfast_rpc::service::{Settings as _, Stop};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use self::files::Files;
use crate::{Config, model::House};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is in force, and where it came from.
#[derive(Debug)]
pub(crate) struct Reload {
    document: Document,
    config: Config,
    houses: BTreeMap<String, Arc<House>>,
    /// What was last told as waiting for a restart.
    told: Vec<String>,
    /// Why what stands in the files is not taken over yet, as it was last told.
    pending: Option<String>,
}

impl Reload {
    /// Nothing where the configuration is no file.
    pub(crate) fn new(config: &Config, houses: BTreeMap<String, Arc<House>>) -> Option<Self> {
        let document = config.document.clone().filter(|document| document.path().is_some())?;
        Some(Self { document, config: config.clone(), houses, told: Vec::new(), pending: None })
    }

    /// Looks after the files until the stop.
    pub(crate) async fn run(mut self, stop: Stop) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return tracing::error!(%error, "the configuration is not looked after"),
        };
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Nothing was seen yet: a change between the start's reading and the first look is not missed.
        let mut files = Files::default();
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => true,
                _ = look.tick() => false,
            };
            let changed = files.have_changed(&self.document, &self.config);
            // What it does not hold for may come later, by a file that was not looked at before: such as a new secret's.
            if changed || asked || self.pending.is_some() && files.are_settled() {
                self.take_over();
            }
        }
    }

    fn take_over(&mut self) {
        let read = self.document.reread().and_then(|document| {
            // The other sections are read at the next start: who breaks them now shall hear of it now.
            Common::from_document(&document)?;
            Ok((Config::from_document(&document)?, document))
        });
        let before = self.pending.take();
        let told = |pending: &String| before.as_ref() == Some(pending);
        self.pending = match read {
            Ok((config, document)) => self.follow(&config, &document, told),
            Err(error) => {
                let why = error.to_string();
                if !told(&why) {
                    tracing::error!(%error, "the changed configuration does not hold: everything stays as it was");
                }
                Some(why)
            }
        };
    }

    /// Takes over what can be; why not all of it, where it is to be tried again.
    fn follow(&mut self, config: &Config, document: &Document, told: impl Fn(&String) -> bool) -> Option<String> {
        let mut pending = None;
        for (name, provider) in &mut self.config.providers {
            let Some(new) = config.providers.get(name) else { continue };
            let change = change::of_keys(&provider.keys, &new.keys);
            if change.is_none() {
                continue;
            }
            match self.houses[name].set_keys(&new.keys, *provider.window, &change.renewed) {
                Ok(()) => {
                    tracing::info!(provider = name, %change, "keys were taken over from the configuration");
                    provider.keys.clone_from(&new.keys);
                }
                Err(error) => {
                    let why = format!("{name}: {error}");
                    if !told(&why) {
                        tracing::error!(provider = name, %error, "keys cannot be taken over: everything stays as it was");
                    }
                    pending = Some(why);
                }
            }
        }
        let waiting = change::for_a_restart(&self.config, config, &self.document, document);
        if waiting != self.told {
            if !waiting.is_empty() {
                tracing::warn!(
                    changed = waiting.join(", "),
                    "the configuration has changed: this takes effect at the next start"
                );
            }
            self.told = waiting;
        }
        pending
    }
}
