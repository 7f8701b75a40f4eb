//! The scripts, each with the parts of a shard that it names.

use std::sync::LazyLock;

use super::keys::Part::{self, Fences, Heads, Log, Meta, Seen, Tickets};

/// One step that nothing comes in between of.
#[derive(Debug)]
pub struct Script {
    /// Its text.
    pub text: &'static str,
    /// The parts that it names, in this order.
    pub parts: &'static [Part],
    hash: LazyLock<String>,
}

impl Script {
    /// By which the server knows it.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

macro_rules! script {
    ($(#[$about:meta])* $name:ident, $file:literal, $parts:expr) => {
        $(#[$about])*
        pub static $name: Script = Script {
            text: concat!(include_str!("scripts/shared.lua"), include_str!($file)),
            parts: &$parts,
            hash: LazyLock::new(|| ::redis::Script::new($name.text).get_hash().to_owned()),
        };
    };
}

script!(/** Says whether a shard's row is dirty. */ ARM, "scripts/arm.lua", [Meta]);
script!(/** Closes an epoch. */ CLOSE, "scripts/close.lua", [Meta]);
script!(/** The epochs of which something is left; the shard's list of them is the last key. */ EPOCHS, "scripts/epochs.lua", [Meta]);
script!(/** Raises a fence's copy. */ FENCE, "scripts/fence.lua", [Meta, Fences, Tickets]);
script!(/** Throws away what another epoch left; its keys follow. */ FORGET, "scripts/forget.lua", [Meta]);
script!(/** Puts in what the store had. */ INSTALL, "scripts/install.lua", [Meta, Seen, Heads, Tickets]);
script!(/** Reads the log. */ LOG, "scripts/log.lua", [Meta, Log]);
script!(/** Reads records. */ LOOK, "scripts/look.lua", [Meta, Seen, Heads, Log]);
script!(/** Shows what is stored. */ MARK, "scripts/mark.lua", [Meta, Seen, Heads, Log]);
script!(/** Begins an epoch; the shard's list of them is the last key. */ OPEN, "scripts/open.lua", [Meta]);
script!(/** Where the log stands. */ STANDING, "scripts/standing.lua", [Meta]);
script!(/** Takes a write. */ TAKE, "scripts/take.lua", [Meta, Seen, Heads, Log, Fences]);
script!(/** Leaves tickets. */ TICKETS, "scripts/tickets.lua", [Meta, Seen, Tickets]);
