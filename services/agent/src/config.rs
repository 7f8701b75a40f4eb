//! `[agent]` and `[agents.NAME]`.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_config::{ConfigError, Document, Invalid, Span};
use holdfast_rpc::service::Settings;
use serde::{Deserialize, de::IgnoredAny};

use crate::tools::builtin;

/// More steps than this are a loop, whatever the task.
const STEPS_MAX: u32 = 10_000;

/// The service's part of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[agent]`
    pub agent: Pool,
    /// `[agents.NAME]`
    pub agents: BTreeMap<String, Agent>,
}

/// `[agent]`: the pool.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pool {
    /// Where health and metrics are served.
    pub address: String,
    /// Invocations that run at once.
    pub concurrency: u32,
    /// How long running invocations may go on when the pool is told to stop; then they are handed back.
    pub drain: Span,
    /// How long a tool-proxy that is away is waited for before the model is told.
    pub tool_patience: Span,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:7075".into(),
            concurrency: 64,
            drain: Span::from_secs(10),
            tool_patience: Span::from_secs(15),
        }
    }
}

/// `[agents.NAME]`: what one agent is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// A model of `[models]`.
    pub model: String,
    /// The system message.
    #[serde(default)]
    pub instructions: String,
    /// The tools that it may call: of `[tools]` and `[mcp.*]`, and the built-in `state_get`, `state_put`, `state_list`.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Answers of the model before the invocation fails with `STEP_LIMIT`.
    #[serde(default = "steps_max", alias = "max_steps")]
    pub steps_max: u32,
    /// Tokens, read and written, after which the invocation fails with `TOKEN_LIMIT`.
    #[serde(default = "tokens_max", alias = "max_tokens")]
    pub tokens_max: u64,
    /// Time at work, over all attempts, after which the invocation fails with `TIME_LIMIT`.
    #[serde(default = "time_max", alias = "max_time")]
    pub time_max: Span,
    /// Tools of one answer that are called at once.
    #[serde(default = "parallel_tools_max", alias = "parallel_tools")]
    pub parallel_tools_max: u32,
    /// Absent means the provider's default.
    pub temperature: Option<f64>,
}

const fn steps_max() -> u32 {
    20
}

const fn tokens_max() -> u64 {
    200_000
}

const fn time_max() -> Span {
    Span::from_secs(600)
}

const fn parallel_tools_max() -> u32 {
    8
}

impl Settings for Config {
    fn from_document(document: &Document) -> Result<Self, ConfigError> {
        let config = Self { agent: document.section("agent")?, agents: document.section("agents")? };
        let located = |invalid| document.locate(invalid);
        config.validate().map_err(located)?;
        // A file that declares tools (or servers that have some) or models declares all of them; one without is a service's
        // that ships alone.
        if document.has_section("models") {
            let models: BTreeMap<String, IgnoredAny> = document.section("models")?;
            config.check_models(&models.into_keys().collect()).map_err(located)?;
        }
        if document.has_section("tools") || document.has_section("mcp") {
            let (tools, servers) = (document.section("tools")?, document.section("mcp")?);
            config.check_tools(&tools, &servers).map_err(located)?;
        }
        Ok(config)
    }

    fn address(&self) -> &str {
        &self.agent.address
    }
}

impl Config {
    /// Checks what one key alone cannot show.
    ///
    /// # Errors
    /// The first setting that does not hold.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.agent.concurrency == 0 {
            return Err(Invalid::new("agent.concurrency", "must be at least 1"));
        }
        self.agents.iter().try_for_each(|(name, agent)| agent.validate(name))
    }

    fn check_models(&self, models: &BTreeSet<String>) -> Result<(), Invalid> {
        let Some((name, agent)) = self.agents.iter().find(|(_, agent)| !models.contains(&agent.model)) else {
            return Ok(());
        };
        let known = models.iter().cloned().collect::<Vec<_>>().join(", ");
        let why = format!("there is no [models.{}]; there are {known}", agent.model);
        Err(Invalid::new(format!("agents.{name}.model"), why))
    }

    fn check_tools(
        &self,
        tools: &BTreeMap<String, DeclaredTool>,
        servers: &BTreeMap<String, DeclaredServer>,
    ) -> Result<(), Invalid> {
        for (name, agent) in &self.agents {
            for tool in agent.tools.iter().filter(|tool| !builtin::is_one(tool)) {
                let invalid = |why| Err(Invalid::new(format!("agents.{name}.tools"), why));
                match tools.get(tool) {
                    Some(declared) if declared.agents.as_ref().is_some_and(|agents| !agents.contains(name)) => {
                        return invalid(format!("[tools.{tool}] is for other agents: add {name:?} to its agents"));
                    }
                    Some(_) => {}
                    // Which tools a server has is known only when it is asked.
                    None if servers.iter().any(|(server, declared)| declared.may_have(server, tool)) => {}
                    None => {
                        let built_in = builtin::NAMES.join(", ");
                        return invalid(format!(
                            "there is no [tools.{tool}], it is none of the built-in {built_in}, and no [mcp.*] has a \
                             prefix that it begins with"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What of a tool's declaration its agents have to do with.
#[derive(Debug, Deserialize)]
struct DeclaredTool {
    agents: Option<Vec<String>>,
}

/// The same of a server whose tools become tools of the mesh.
#[derive(Debug, Deserialize)]
struct DeclaredServer {
    prefix: Option<String>,
}

impl DeclaredServer {
    fn may_have(&self, name: &str, tool: &str) -> bool {
        self.prefix.as_ref().map_or_else(|| tool.starts_with(&format!("{name}_")), |prefix| tool.starts_with(prefix))
    }
}

impl Agent {
    fn validate(&self, name: &str) -> Result<(), Invalid> {
        let invalid = |key: &str, why: String| Err(Invalid::new(format!("agents.{name}.{key}"), why));
        if self.model.is_empty() {
            return invalid("model", "must name a model of [models]".into());
        }
        if !(1..=STEPS_MAX).contains(&self.steps_max) {
            return invalid("steps_max", format!("must be from 1 to {STEPS_MAX}"));
        }
        if self.tokens_max == 0 {
            return invalid("tokens_max", "must be at least 1".into());
        }
        if self.time_max.is_zero() {
            return invalid("time_max", "must be longer than nothing".into());
        }
        if self.parallel_tools_max == 0 {
            return invalid("parallel_tools_max", "must be at least 1".into());
        }
        if self.temperature.is_some_and(|temperature| !(0.0..=2.0).contains(&temperature)) {
            return invalid("temperature", "must be from 0 to 2".into());
        }
        let mut seen = BTreeSet::new();
        match self.tools.iter().find(|tool| !seen.insert(*tool)) {
            Some(twice) => invalid("tools", format!("{twice} is there twice")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        Config::from_document(&Document::parse("t.toml", text, []).expect("it is TOML"))
    }

    #[test]
    fn everything_but_the_model_has_a_default() {
        let config = read("[agents.a]\nmodel = \"m\"\n").expect("valid");
        assert_eq!((config.agents["a"].steps_max, config.agent.concurrency), (20, 64));
        assert!(read("").expect("no agents").agents.is_empty());
    }

    #[test]
    fn what_does_not_hold_is_named_with_its_line() {
        for (text, said) in [
            ("[agents.a]\nmodel = \"m\"\nsteps_max = 0\n", "t.toml:3: agents.a.steps_max: must be from 1"),
            ("[agents.a]\nmodel = \"m\"\ntools = [\"x\", \"x\"]\n", "t.toml:3: agents.a.tools: x is there twice"),
            ("[agents.a]\nmodel = \"m\"\ntemperature = 3.0\n", "t.toml:3: agents.a.temperature: must be from 0"),
            (
                "[agents.a]\nmodel = \"m\"\n[models.n]\n",
                "t.toml:2: agents.a.model: there is no [models.m]; there are n",
            ),
            (
                "[agents.a]\nmodel = \"m\"\ntools = [\"y\"]\n[tools.x]\n",
                "t.toml:3: agents.a.tools: there is no [tools.y]",
            ),
            (
                "[agents.a]\nmodel = \"m\"\ntools = [\"x\"]\n[tools.x]\nagents = [\"b\"]\n",
                "t.toml:3: agents.a.tools: [tools.x] is for other agents: add \"a\" to its agents",
            ),
            (
                "[agents.a]\nmodel = \"m\"\ntools = [\"web_y\"]\n[tools.x]\n[mcp.web]\nprefix = \"w_\"\n",
                "t.toml:3: agents.a.tools: there is no [tools.web_y]",
            ),
            (
                "[agents.a]\nmodel = \"m\"\ntools = [\"y\"]\n[mcp.web]\n",
                "t.toml:3: agents.a.tools: there is no [tools.y]",
            ),
            ("[agents.a]\nmodel = \"m\"\nspeed = 9\n", "t.toml:3: agents.a.speed: unknown field"),
        ] {
            let error = read(text).expect_err("it does not hold").to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn a_servers_tools_are_known_when_it_is_asked_and_not_before() {
        read("[agents.a]\nmodel = \"m\"\ntools = [\"web_y\"]\n[tools.x]\n[mcp.web]\n").expect("valid");
        read("[agents.a]\nmodel = \"m\"\ntools = [\"web_y\", \"state_get\"]\n[mcp.web]\n").expect("servers alone");
        read("[agents.a]\nmodel = \"m\"\ntools = [\"x\"]\n[tools.x]\nagents = [\"a\"]\n").expect("valid");
    }

    #[test]
    fn built_in_tools_need_no_declaration() {
        read("[agents.a]\nmodel = \"m\"\ntools = [\"state_get\", \"x\"]\n[tools.x]\n[models.m]\n").expect("valid");
    }
}
