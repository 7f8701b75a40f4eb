//! The tools that the tool-proxy has, with what a model needs to know of them.

use std::{collections::HashMap, time::Duration};

use holdfast_proto::{
    llm::v1::ToolDefinition,
    tool::v1::{ListToolsRequest, tool_service_client::ToolServiceClient},
};
use holdfast_resilience::Backoff;
use holdfast_rpc::{Channel, deadline};
use holdfast_sdk::Failure;
use parking_lot::RwLock;
use tokio::time::Instant;
use tonic::{Code, Status};

/// Between attempts to reach a tool-proxy that is away.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(2));

/// One page of tools ends within this long.
const LIST_MAX: Duration = Duration::from_secs(5);

/// How long an invocation waits for a tool that is not known yet.
const UNKNOWN_MAX: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(crate) struct Catalog {
    proxy: ToolServiceClient<Channel>,
    known: RwLock<HashMap<String, ToolDefinition>>,
    /// One refresh at a time: whoever waits for it finds what it brought.
    refreshing: tokio::sync::Mutex<()>,
}

impl Catalog {
    pub(crate) fn new(proxy: Channel) -> Self {
        Self {
            proxy: ToolServiceClient::new(proxy),
            known: RwLock::default(),
            refreshing: tokio::sync::Mutex::default(),
        }
    }

    /// Fetches until the tool-proxy is there. What it does not have is told, and looked for again when it is needed.
    pub(crate) async fn open(&self, names: &[String]) {
        let mut failed = 0;
        while let Err(status) = self.refresh(names).await {
            if status.code() == Code::OutOfRange {
                // One tool is more than a message: the agents without it shall work.
                tracing::error!(error = status.message(), "the tools cannot be listed together");
                return;
            }
            failed += 1;
            tracing::info!(error = status.message(), "waiting for the tool-proxy");
            let pause = BACKOFF.delay(failed, &mut rand::rng());
            tokio::time::sleep(pause).await;
        }
        for name in names.iter().filter(|name| self.get(name).is_none()) {
            tracing::error!(tool = name, "an agent has a tool that the tool-proxy does not have");
        }
    }

    /// The definitions of these tools; asks the tool-proxy for them where one is not known.
    pub(crate) async fn definitions(&self, names: &[String]) -> Result<Vec<ToolDefinition>, Failure> {
        let end = Instant::now() + UNKNOWN_MAX;
        let mut failed = 0;
        loop {
            let found: Option<Vec<_>> = names.iter().map(|name| self.get(name)).collect();
            if let Some(found) = found {
                return Ok(found);
            }
            match self.refresh(names).await {
                Ok(()) => {
                    let missing = names.iter().find(|name| self.get(name).is_none());
                    if let Some(missing) = missing {
                        let message = format!("the tool-proxy has no tool {missing}");
                        return Err(Failure::retryable("TOOL_NOT_DECLARED", message));
                    }
                }
                Err(status) if Instant::now() < end => {
                    failed += 1;
                    tracing::debug!(error = status.message(), "the tools are not known yet");
                    let pause = BACKOFF.delay(failed, &mut rand::rng());
                    tokio::time::sleep(pause).await;
                }
                Err(status) => return Err(Failure::retryable("TOOL_PROXY_UNAVAILABLE", status.message())),
            }
        }
    }

    /// The tool-proxy said that it has no such tool (any more).
    pub(crate) fn forget(&self, name: &str) {
        self.known.write().remove(name);
    }

    fn get(&self, name: &str) -> Option<ToolDefinition> {
        self.known.read().get(name).cloned()
    }

    /// Asks for these and no others: what is wrong with another agent's tool is not this one's matter.
    async fn refresh(&self, names: &[String]) -> Result<(), Status> {
        let _turn = self.refreshing.lock().await;
        if names.iter().all(|name| self.known.read().contains_key(name)) {
            return Ok(());
        }
        let mut fetched = HashMap::new();
        let mut request = ListToolsRequest { names: names.to_vec(), page_size: 1_000, ..Default::default() };
        loop {
            let listing = self.proxy.clone();
            let page = deadline::scope(Some(Instant::now() + LIST_MAX), list(listing, request.clone())).await?;
            fetched.extend(page.tools.into_iter().map(|tool| {
                let definition = ToolDefinition {
                    name: tool.name.clone(),
                    description: tool.description,
                    input_schema: tool.input_schema,
                };
                (tool.name, definition)
            }));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        let mut known = self.known.write();
        names.iter().for_each(|name| drop(known.remove(name)));
        known.extend(fetched);
        Ok(())
    }
}

async fn list(
    mut proxy: ToolServiceClient<Channel>,
    request: ListToolsRequest,
) -> Result<holdfast_proto::tool::v1::ListToolsResponse, Status> {
    Ok(proxy.list_tools(request).await?.into_inner())
}
