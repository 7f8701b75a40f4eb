//! The scripts: each is one step that nothing comes in between of. They run on Redis's own clock.

use std::sync::LazyLock;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{RedisResult, Script, ScriptInvocation, Value};
use serde::Serialize;

macro_rules! script {
    ($(#[$about:meta])* $name:ident, $file:literal) => {
        $(#[$about])*
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!(include_str!("scripts/shared.lua"), include_str!($file))));
    };
}

script!(/** How circuits stand. */ LOOK, "scripts/look.lua");
script!(/** How one stands now, by a process that saw it change. */ TELL, "scripts/tell.lua");
script!(/** An operator's word. */ WORD, "scripts/word.lua");
script!(/** Leave for a probe. */ PROBE, "scripts/probe.lua");
script!(/** What became of it. */ SETTLE, "scripts/settle.lua");

/// The names of what is shared. All share a hash tag, so that they are at one node of a Cluster.
#[derive(Debug)]
pub(super) struct Keys {
    tag: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { tag: format!("{{{prefix}:circuits}}") }
    }

    pub(super) fn hash(&self, circuit: &str) -> String {
        format!("{}:{circuit}", self.tag)
    }

    /// Where each change is told, by the circuit's name.
    pub(super) fn channel(&self) -> String {
        format!("{}:news", self.tag)
    }

    /// A script on one circuit.
    pub(super) fn of(&self, script: &'static LazyLock<Script>, circuit: &str) -> Request {
        let hash = self.hash(circuit);
        // No tool's name begins so.
        let probes = format!("{}::probes:{circuit}", self.tag);
        let mut invocation = script.prepare_invoke();
        invocation.key(hash).key(probes).arg(self.channel()).arg(circuit);
        Request(invocation)
    }

    /// The script that looks at several.
    pub(super) fn look<'n>(&self, circuits: impl Iterator<Item = &'n str>) -> Request {
        let mut invocation = LOOK.prepare_invoke();
        for circuit in circuits {
            invocation.key(self.hash(circuit));
        }
        Request(invocation)
    }
}

/// A script with what it is told.
pub(super) struct Request(ScriptInvocation<'static>);

impl Request {
    pub(super) fn arg(mut self, text: &str) -> Self {
        self.0.arg(text);
        self
    }

    pub(super) fn number(self, number: impl Into<u64>) -> Self {
        self.arg(&number.into().to_string())
    }

    pub(super) fn micros(self, span: Duration) -> Self {
        // 584,000 years fit; a script counts exactly up to 285 of them.
        self.number(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn json(self, value: &impl Serialize) -> Self {
        let text = serde_json::to_string(value).unwrap_or_default();
        self.arg(&text)
    }

    pub(super) async fn send(self, link: &mut MultiplexedConnection) -> RedisResult<Value> {
        self.0.invoke_async(link).await
    }
}
