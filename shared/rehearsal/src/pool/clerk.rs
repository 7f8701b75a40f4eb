//! What a worker does with an invocation: read, ask, call, ask, write. The same steps on both sides.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use holdfast_sdk::state::{Address, Precondition, Value};
use holdfast_sdk::{Context, Error, Failure, Json, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::books::Books;
use super::floor::Floor;
use super::ledger::{Accounts, Ledger};
use super::model::Model;
use crate::scenario::{Scenario, Which, Writes};
use crate::stage::Place;

/// The agent.
#[derive(Debug)]
pub(super) struct Clerk {
    books: Arc<Books>,
    floor: Arc<Floor>,
    model: Model,
    accounts: Accounts,
    questions: u32,
    tool: String,
    writes: Writes,
    write_timeout: Duration,
}

/// What is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The invocation's number.
    pub(crate) number: u64,
    /// The record that it is about.
    pub(crate) record: u64,
    /// For whom it is, by the tenant's number.
    pub(crate) tenant: usize,
}

/// What it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The invocation's number.
    pub(crate) number: u64,
    /// Whether a fallback had a part in it.
    pub(crate) degraded: bool,
    /// Whether the record that it was made from lacked an update that was acknowledged before it was read.
    pub(crate) misled: bool,
}

impl Clerk {
    pub(super) fn new(
        scenario: &Scenario,
        which: Which,
        place: &Place,
        accounts: Accounts,
        books: Arc<Books>,
        floor: Arc<Floor>,
    ) -> Self {
        let agent = &scenario.agent;
        Self {
            books,
            floor,
            model: Model::new(scenario, which, place),
            accounts,
            questions: agent.questions,
            tool: agent.tool.clone(),
            writes: scenario.manner(which).writes,
            write_timeout: scenario.pace().here(*agent.write_timeout),
        }
    }

    /// Works an invocation off.
    pub(super) async fn work(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let task: Task = serde_json::from_value(input)?;
        let _busy = self.floor.take_up();
        let in_hand = self.books.begin(task.number);
        let worked = self.work_on(context, task).await;
        in_hand.done();
        worked
    }

    async fn work_on(&self, context: Context, task: Task) -> Result<Json, Failure> {
        let address = self.accounts.address(task.record);
        let known = self.books.known(task.record);
        let read = Ledger::of(context.state().get(&address).await?.as_ref());
        let misled = self.books.misleads(task.record, known, &read);
        try_join_all((0..self.questions).map(|_| self.model.ask(task.tenant))).await?;
        let degraded = self.call_tool(&context, task.record).await?;
        self.model.ask(task.tenant).await?;
        self.write(&context, &address, read, task).await?;
        Ok(json!(Answer { number: task.number, degraded, misled }))
    }

    /// Calls the tool; says whether something else answered in its place.
    async fn call_tool(&self, context: &Context, record: u64) -> Result<bool, Failure> {
        let _call = self.floor.call_tool();
        let answer = context.call_tool(&self.tool, &json!({ "account": record }), 1, 0).await?;
        Ok(answer.outcome != Outcome::Real)
    }

    async fn write(&self, context: &Context, address: &Address, read: Ledger, task: Task) -> Result<(), Failure> {
        let state = context.state();
        let written = async {
            match self.writes {
                Writes::Blind => {
                    let value = Value::json(&read.with(task.number))?;
                    state.put(address, value, Precondition::Overwrite).await.map(drop)
                }
                Writes::Versioned => {
                    let change = |now| Ok::<_, Error>(Ledger::read(now).with(task.number));
                    state.update_as(address, context.write_id("update"), change).await.map(drop)
                }
            }
        };
        match timeout(self.write_timeout, written).await {
            Ok(written) => written?,
            Err(_) => {
                self.books.give_up_write();
                return Err(Failure::retryable("STATE_WRITE_TIMEOUT", "the record was not written in time"));
            }
        }
        self.books.acknowledge(task.record, task.number);
        Ok(())
    }
}
