//! Whether a mesh that runs may be driven. Nobody pays for a rehearsal, nobody's tools are called for one, and nobody's services
//! or databases are killed: unless somebody insists, all that stands behind the mesh must be simulated.
//!
//! The mesh says what stands behind its models and tools. Then one question to each model that is about to be asked goes through
//! it, with a mark, and has to arrive at the simulator that was named: by what that one counts the rehearsal is judged.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_proto::llm::v1::ListModelsRequest;
use holdfast_proto::llm::v1::llm_service_client::LlmServiceClient;
use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use holdfast_proto::tool::v1::{ListToolsRequest, Tool};
use holdfast_rpc::{Channel, id};
use serde_json::json;
use tonic::{Code, Request, Status};

use crate::day::Day;
use crate::ends::Ends;
use crate::error::Error;
use crate::scenario::Scenario;
use crate::stage::Place;
use crate::web;

/// What a mesh tells of itself comes at once.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// A question may have to wait its turn.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A mesh that runs, before anything is played on it.
pub(crate) struct Guard<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) place: &'a Place,
    pub(crate) ends: &'a Ends,
    pub(crate) day: &'a Day,
    /// Whether somebody insists, whatever stands behind it.
    pub(crate) insists: bool,
}

impl Guard<'_> {
    /// Lets the rehearsal begin.
    ///
    /// # Errors
    /// What stands against it, and what to do.
    pub(crate) async fn admit(&self) -> Result<(), Error> {
        let outages = &self.day.outages;
        if outages.iter().any(|outage| outage.what.is_of_the_mesh()) {
            return wrong(
                "services and databases are taken away only from a mesh of the rehearsal's own: leave out --address",
            );
        }
        if !self.scenario.tenants.is_empty() {
            return wrong(
                "workers of several tenants are played on a mesh of the rehearsal's own only: leave out --address",
            );
        }
        self.simulator_is_known().await?;
        if self.insists {
            return Ok(());
        }
        self.ends_are_simulated().await?;
        self.questions_arrive().await
    }

    /// The simulator is there, and one that this scenario is played with.
    async fn simulator_is_known(&self) -> Result<(), Error> {
        let known = self.ends.keys().await;
        let known = known
            .map_err(|error| Error::Mesh(format!("{error}; name the one behind the mesh with --simulator URL")))?;
        let unknown = self.scenario.model_keys(self.day.seed).into_iter().find(|key| !known.contains(key));
        match unknown {
            Some(key) if !self.insists => wrong(&format!(
                "the simulator at {} does not know the key {key:?}: name another with --simulator URL, or {}",
                self.place.simulator,
                self.right_mesh()
            )),
            _ => Ok(()),
        }
    }

    /// As the mesh says: nothing that it could call is outside, and what is about to be called is there.
    async fn ends_are_simulated(&self) -> Result<(), Error> {
        let key = Some(self.place.key.as_str()).filter(|key| !key.is_empty());
        let channel = Channel::connect("gateway", &self.place.gateway, key, None);
        let channel = channel.map_err(|error| Error::Mesh(error.to_string()))?;
        let mut request = Request::new(ListModelsRequest {});
        request.set_timeout(TOLD_WITHIN);
        let models = LlmServiceClient::new(channel.clone()).list_models(request).await;
        let models = models.map_err(|status| self.silent(&status))?.into_inner().models;
        let tools = tools(channel).await.map_err(|status| self.silent(&status))?;

        let real = models.iter().filter(|model| !model.only_simulated);
        let real = real.map(|model| format!("the model {} ({})", model.name, model.deployments.join(", ")));
        let real =
            real.chain(tools.iter().filter(|tool| !tool.simulated).map(|tool| format!("the tool {}", tool.name)));
        let real: Vec<_> = real.collect();
        if !real.is_empty() {
            return wrong(&format!(
                "the mesh at {} leads outside, and all that is played would come there: {}; {}, or insist with --real-ends",
                self.place.gateway,
                real.join(", "),
                self.right_mesh()
            ));
        }
        let models: BTreeSet<_> = models.into_iter().map(|model| model.name).collect();
        let tools: BTreeSet<_> = tools.into_iter().map(|tool| tool.name).collect();
        let called = self.scenario.called();
        let missing = called.models.difference(&models).map(|model| format!("the model {model}"));
        let missing = missing.chain(called.tools.difference(&tools).map(|tool| format!("the tool {tool}")));
        match missing.collect::<Vec<_>>() {
            missing if missing.is_empty() => Ok(()),
            missing => wrong(&format!(
                "the mesh at {} does not show {}: {}, or show an operator's key with --api-key where tools are some agents' alone",
                self.place.gateway,
                missing.join(", "),
                self.right_mesh()
            )),
        }
    }

    /// One question to each model, seen at the simulator.
    async fn questions_arrive(&self) -> Result<(), Error> {
        for model in self.scenario.called().models {
            let mark = format!("rehearsal-{}", id::new());
            let said = self.ask(&model, &mark).await;
            if self.ends.saw(&mark).await? {
                continue;
            }
            return wrong(&match said {
                Ok(()) => format!(
                    "the mesh at {} answers for the model {model}, and the simulator at {} saw nothing of it: name the one \
                     behind the mesh with --simulator URL",
                    self.place.gateway, self.place.simulator
                ),
                Err(why) => format!(
                    "the mesh at {} does not pass on a question to the model {model} ({why}): show a worker's key with \
                     --api-key, or {}",
                    self.place.gateway,
                    self.right_mesh()
                ),
            });
        }
        Ok(())
    }

    /// Asks as agents do.
    async fn ask(&self, model: &str, mark: &str) -> Result<(), String> {
        let question = json!({
            "model": model,
            "messages": [{ "role": "user", "content": "Who answers?" }],
            "max_tokens": 1,
            "metadata": { "mark": mark },
        });
        let url = format!("{}/v1/chat/completions", self.place.gateway.trim_end_matches('/'));
        let mut request = web::client().post(url).timeout(ANSWER_WITHIN).json(&question);
        if !self.place.key.is_empty() {
            request = request.bearer_auth(&self.place.key);
        }
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(()) } else { Err(format!("{status}: {text}")) }
    }

    fn silent(&self, status: &Status) -> Error {
        let next = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                "show a worker's key with --api-key env:NAME or file:PATH"
            }
            _ => "start it with `holdfast up`, or name another with --address URL",
        };
        Error::Mesh(format!(
            "the mesh at {} does not tell what it leads to: {}; {next}",
            self.place.gateway,
            status.message()
        ))
    }

    /// How a mesh is started that this scenario can be played on.
    fn right_mesh(&self) -> String {
        let config = if self.scenario.wants_own() { " --config FILE" } else { "" };
        format!("start the mesh with what `holdfast rehearse {}{config} --settings on` prints", self.scenario.name)
    }
}

fn wrong<T>(why: &str) -> Result<T, Error> {
    Err(Error::Mesh(why.to_owned()))
}

/// All tools that are shown to us.
async fn tools(channel: Channel) -> Result<Vec<Tool>, Status> {
    let (mut client, mut all, mut page_token) = (ToolServiceClient::new(channel), Vec::new(), String::new());
    loop {
        let mut request = Request::new(ListToolsRequest { page_token, ..ListToolsRequest::default() });
        request.set_timeout(TOLD_WITHIN);
        let page = client.list_tools(request).await?.into_inner();
        all.extend(page.tools);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}
