//! Recorded steps: done once, however many attempts there are.

use std::{future::Future, sync::Arc};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::{
    Context, Error, Failure, Usage,
    state::{Address, Durability, Precondition, Record, Value, Write},
};

/// The namespace of steps; the partition is the invocation.
const NAMESPACE: &str = "holdfast.steps";

tokio::task_local! {
    /// Model tokens used within the step that this task runs.
    static USED: Arc<Mutex<Usage>>;
}

/// A step's name within its invocation. Numbers are written with six digits, so that they sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepKey(String);

impl From<u32> for StepKey {
    fn from(number: u32) -> Self {
        Self(format!("{number:06}"))
    }
}

impl From<&str> for StepKey {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl From<String> for StepKey {
    fn from(name: String) -> Self {
        Self(name)
    }
}

/// What is recorded of a step.
#[derive(Serialize, Deserialize)]
struct Recorded {
    result: Json,
    #[serde(default)]
    usage: Usage,
}

impl Context {
    /// A step of the work. Recorded by an earlier attempt, its result is returned and nothing runs; else `work` runs,
    /// and its result is durable before this returns. So a step that has returned once never runs again; one that was
    /// interrupted before it was recorded does, and calls of tools and writes within it are made safe for that by
    /// their place ([`Context::call_tool`]) and their id ([`Context::write_id`]).
    ///
    /// Names are unique within an invocation. What `work` fails with is not recorded.
    ///
    /// # Errors
    /// `work`'s; and those of state, whose absence is waited for.
    pub async fn step<T, F, Fut>(&self, step: impl Into<StepKey>, work: F) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let address = Address::new(NAMESPACE, self.id(), step.into().0);
        if let Some(record) = self.state().get(&address).await? {
            return Ok(self.recall(&record)?);
        }
        let used = Arc::new(Mutex::new(Usage::default()));
        let result = USED.scope(used.clone(), work()).await?;
        let recorded = Recorded { result: serde_json::to_value(&result)?, usage: *used.lock() };
        match self.record(address, Value::json(&recorded)?).await {
            Ok(()) => Ok(result),
            // It was recorded all the same (by a task of this handler under the same name): the first record counts.
            Err(Error::Conflict(conflict)) if conflict.current.value.is_some() => Ok(self.recall(&conflict.current)?),
            Err(error) => Err(error.into()),
        }
    }

    async fn record(&self, address: Address, recorded: Value) -> Result<(), Error> {
        let write_id = self.write_id(&format!("step.{}", address.key));
        let write =
            Write::new(address, recorded, Precondition::Absent).with_id(write_id).with_durability(Durability::Durable);
        self.state().write(write).await.map(drop)
    }

    fn recall<T: DeserializeOwned>(&self, record: &Record) -> Result<T, Error> {
        let recorded: Recorded = record.json()?;
        *self.0.usage.lock() += recorded.usage;
        Ok(serde_json::from_value(recorded.result)?)
    }

    /// Counts model tokens: for the invocation, and within a step for its record.
    pub(crate) fn count(&self, usage: Usage) {
        *self.0.usage.lock() += usage;
        // Outside of a step there is nothing to record them with.
        let _ = USED.try_with(|used| *used.lock() += usage);
    }
}
