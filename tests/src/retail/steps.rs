//! What the agent itself saw: the tools' answers in the recorded steps of its invocation.

use holdfast_sdk::state::{Listing, Record};
use holdfast_sdk::{Client, Error};
use serde_json::Value;

use super::{Case, check};

const STEPS: &str = "holdfast.steps";

/// Every difference between the tool results that the agent saw and the recorded ones.
pub(super) async fn results(client: &Client, case: &Case, invocation_id: &str) -> Vec<String> {
    match answers(client, invocation_id).await {
        Ok(answers) => check::results(case, &answers),
        Err(error) => vec![format!("its steps cannot be read: {error}")],
    }
}

async fn answers(client: &Client, invocation_id: &str) -> Result<Vec<String>, Error> {
    let mut listing = Listing { namespace: STEPS.into(), partition: invocation_id.into(), ..Listing::default() };
    let mut answers = Vec::new();
    loop {
        let page = client.state().list(listing.clone()).await?;
        for record in &page.records {
            answers.extend(tool_answers(record)?);
        }
        if page.next.is_empty() {
            return Ok(answers);
        }
        listing.page_token = page.next;
    }
}

fn tool_answers(record: &Record) -> Result<Vec<String>, Error> {
    let step: Value = record.json()?;
    let content = |answer: &Value| Some(answer.get("content")?.as_str()?.to_owned());
    Ok(step["result"]["answers"].as_array().into_iter().flatten().filter_map(content).collect())
}
