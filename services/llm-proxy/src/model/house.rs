use std::{io, sync::Arc, time::Duration};

use holdfast_config::Secret;
use parking_lot::RwLock;

use crate::{config, domain::Limits, gate::Gate, provider::Provider};

/// A provider with its keys and the gate in front of them.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) name: String,
    pub(crate) simulated: bool,
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) gate: Gate,
    pub(crate) keys: RwLock<Vec<Arc<NamedKey>>>,
    /// How long a key rests after a 429 that does not say.
    pub(crate) cooldown: Duration,
    /// How long a key is left alone that the provider did not take.
    pub(crate) quarantine: Duration,
}

/// An API key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedKey {
    pub(crate) name: String,
    pub(crate) key: Option<Secret>,
}

impl House {
    /// The key of this name; none where it was removed meanwhile.
    pub(crate) fn key(&self, name: &str) -> Option<Arc<NamedKey>> {
        self.keys.read().iter().find(|key| key.name == name).cloned()
    }

    /// Whether this key is still in use, with this secret.
    pub(crate) fn has(&self, key: &Arc<NamedKey>) -> bool {
        self.keys.read().iter().any(|known| Arc::ptr_eq(known, key))
    }

    /// A key was denied for what was not its fault: it is tried again. With another secret it has been already.
    pub(crate) fn lift(&self, key: &Arc<NamedKey>) {
        if self.has(key) {
            self.gate.renew(&key.name);
        }
    }

    /// The keys from here on. A removed one gets no new call; of those whose secret is another one, whatever was wrong with
    /// them is forgotten.
    ///
    /// # Errors
    /// What is kept of them cannot be: then all is as it was.
    pub(crate) fn set_keys(&self, keys: &[config::Key], window: Duration, renewed: &[String]) -> io::Result<()> {
        let before = {
            let known = &mut *self.keys.write();
            let keys = kept(known, named(keys, self.simulated));
            std::mem::replace(known, keys)
        };
        if let Err(error) = self.gate.set_keys(limits(keys, window)) {
            *self.keys.write() = before;
            return Err(error);
        }
        renewed.iter().for_each(|name| self.gate.renew(name));
        Ok(())
    }
}

/// What the gate has to know of keys.
pub(crate) fn limits(keys: &[config::Key], window: Duration) -> Vec<(String, Limits)> {
    let limits = |key: &config::Key| Limits { own: key.limits(), models: key.models.clone(), window };
    keys.iter().map(|key| (key.name.clone(), limits(key))).collect()
}

/// What the provider is shown of them.
pub(crate) fn named(keys: &[config::Key], simulated: bool) -> Vec<Arc<NamedKey>> {
    let named = |key: &config::Key| NamedKey {
        name: key.name.clone(),
        // The simulator knows its keys by their names: there is nothing to hide.
        key: key.key.clone().or_else(|| simulated.then(|| Secret::in_memory(key.name.as_str()))),
    };
    keys.iter().map(|key| Arc::new(named(key))).collect()
}

/// What is the same key with the same secret stays the same one, for the calls that are under way with it.
fn kept(known: &[Arc<NamedKey>], new: Vec<Arc<NamedKey>>) -> Vec<Arc<NamedKey>> {
    let same = |new: Arc<NamedKey>| known.iter().find(|key| ***key == *new).cloned().unwrap_or(new);
    new.into_iter().map(same).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_the_same_one_until_it_has_another_secret() {
        let key = |name: &str, secret: &'static str| {
            Arc::new(NamedKey { name: name.into(), key: Some(Secret::in_memory(secret)) })
        };
        let known = [key("a", "one"), key("b", "two")];
        let keys = kept(&known, vec![key("b", "two"), key("a", "three"), key("c", "one")]);
        let stays = |key: &Arc<NamedKey>| known.iter().any(|known| Arc::ptr_eq(known, key));
        assert_eq!(keys.iter().map(stays).collect::<Vec<_>>(), [true, false, false]);
    }
}
