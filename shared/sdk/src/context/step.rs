//! Recorded steps: done once, however many attempts there are.

use std::future::Future;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::{
    Context, Error, Failure, Usage,
    state::{Address, Durability, Precondition, Record, Value, Write},
};

/// The namespace of steps; the partition is the invocation.
pub(super) const NAMESPACE: &str = "holdfast.steps";

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
    /// Model tokens that were used until then and are in no earlier record: the step's own, and others'.
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
        let result = work().await?;
        let json = serde_json::to_value(&result)?;
        let Some(usage) = self.0.spending.lock().record(&address.key) else {
            // Another task of this handler was at it under the same name: the first record counts.
            let recorded = Value::json(&Recorded { result: json, usage: Usage::default() })?;
            self.record(address.clone(), recorded).await?;
            let first = self.state().get(&address).await?.ok_or_else(|| Error::Internal("a record is gone".into()))?;
            return Ok(self.recall(&first)?);
        };
        let recorded = Value::json(&Recorded { result: json, usage })?;
        match self.record(address, recorded).await {
            Ok(()) => Ok(result),
            // It was recorded all the same: the first record counts.
            Err(Error::Conflict(conflict)) if conflict.current.value.is_some() => {
                self.0.spending.lock().take_back(usage);
                Ok(self.recall(&conflict.current)?)
            }
            Err(error) => {
                if !error.may_have_happened() {
                    self.0.spending.lock().take_back(usage);
                }
                Err(error.into())
            }
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
        self.0.spending.lock().recall(&record.address.key, recorded.usage);
        Ok(serde_json::from_value(recorded.result)?)
    }
}
