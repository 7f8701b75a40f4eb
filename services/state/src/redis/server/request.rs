//! One call of a script.

use std::borrow::Cow;

use ::redis::{Cmd, Value, cmd};
use holdfast_storage::{Class, Failure};

use crate::{place::Trouble, redis::scripts::Script};

/// What a script says of an epoch that is not open.
const CLOSED: i64 = -1;

/// A script with all that it needs.
#[derive(Debug)]
pub struct Request<'r> {
    script: &'static Script,
    keys: Vec<String>,
    arguments: Vec<Cow<'r, [u8]>>,
}

impl<'r> Request<'r> {
    /// A script with its keys.
    pub fn new(script: &'static Script, keys: Vec<String>) -> Self {
        Self { script, keys, arguments: Vec::new() }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<Cow<'r, [u8]>>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With a number.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.arg(number.to_string().into_bytes())
    }

    pub(super) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", self.script.hash())
    }

    pub(super) fn by_text(&self) -> Cmd {
        self.command("EVAL", self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys);
        for argument in &self.arguments {
            command.arg(&**argument);
        }
        command
    }
}

/// What a script answered: its code, and what comes with it.
pub(super) fn reply(value: Value) -> Result<(i64, Vec<Value>), Trouble> {
    let Value::Array(mut values) = value else { return Err(strange()) };
    if values.is_empty() {
        return Err(strange());
    }
    match values.remove(0) {
        Value::Int(CLOSED) => Err(Trouble::Closed),
        Value::Int(code) => Ok((code, values)),
        _ => Err(strange()),
    }
}

/// It says what none of our scripts says.
pub fn strange() -> Trouble {
    Trouble::Away {
        failure: Failure::new(Class::Statement, "Redis answered something that is not ours"),
        in_doubt: true,
    }
}
