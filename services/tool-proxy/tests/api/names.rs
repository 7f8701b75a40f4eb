//! A resolver that answers what the test wants, and another thing the next time.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::watch;

/// Each name with its answers in turn; the last is given for ever.
#[derive(Clone, Default)]
pub(crate) struct Names {
    turns: Arc<Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>>,
    asked: Arc<watch::Sender<Vec<String>>>,
}

impl Names {
    /// From now on, a name leads to these addresses in turn.
    pub(crate) fn tell(&self, name: &str, turns: &[&[&str]]) {
        let addresses = |turn: &&[&str]| turn.iter().map(|address| address.parse().expect("an address")).collect();
        self.turns.lock().expect("no panic").insert(name.to_owned(), turns.iter().map(addresses).collect());
    }

    /// Waits until a name was asked for so often.
    pub(crate) async fn asked(&self, name: &str, count: usize) {
        let enough = |asked: &Vec<String>| asked.iter().filter(|asked| *asked == name).count() >= count;
        self.asked.subscribe().wait_for(enough).await.expect("the sender lives");
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        self.asked.send_modify(|asked| asked.push(name.as_str().to_owned()));
        let mut names = self.turns.lock().expect("no panic");
        let now = names.get_mut(name.as_str()).and_then(|turns| match turns.len() {
            0 | 1 => turns.front().cloned(),
            _ => turns.pop_front(),
        });
        let answer = now.ok_or_else(|| format!("no such name: {}", name.as_str()).into());
        // A port of the resolver's own must not count.
        let found = answer.map(|found| Box::new(found.into_iter().map(|address| SocketAddr::new(address, 1))) as Addrs);
        Box::pin(std::future::ready(found))
    }
}
