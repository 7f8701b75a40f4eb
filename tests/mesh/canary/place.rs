//! A mesh as `up` starts it, full of secrets, and all that it told.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_testkit::{Collector, Process, Signal, executable, free_ports};
use holdfast_tests::canary::{self, Canary, Find, Gossip};
use tokio::process::Command;
use tokio::time::{Instant, interval};
use tonic::transport::{Channel, Endpoint};

const WITHIN: Duration = Duration::from_secs(120);

/// How models and tools end, by their names.
pub const MODELS: [&str; 7] = ["answers", "denies", "forbids", "refuses", "limits", "breaks", "mumbles"];
pub const TOOLS: [(&str, &str, &str); 6] = [
    ("well", "idempotent", r#"bearer = "file:tool-bearer""#),
    ("fails", "read_only", r#"secret_headers = { x-api-key = "file:tool-header" }"#),
    ("denies", "effectful", r#"basic = { user = "shop", password = "file:tool-password" }"#),
    ("mumbles", "idempotent", r#"bearer = "file:tool-bearer""#),
    ("redirects", "read_only", r#"bearer = "file:tool-bearer""#),
    ("hangs", "effectful", r#"bearer = "file:tool-bearer""#),
];

/// What is in a file of this name.
const SECRETS: [&str; 11] = [
    "caller",
    "worker",
    "operator",
    "credential",
    "lease-key",
    "provider",
    "tool-bearer",
    "tool-header",
    "tool-password",
    "mcp",
    "collector",
];

/// Something that was told to a caller.
struct Told {
    to: String,
    bytes: Vec<u8>,
    /// It passes on what a provider or a tool said, or a record: so the prompt may stand in it.
    quotes: bool,
}

/// How the gateway's metrics say that its stream to the queue is open.
const LINK_UP: &str = "\nholdfast_gateway_queue_link_up 1\n";

/// The name of what quotes.
const QUOTING: &str = " (quoting)";

pub struct Place {
    directory: tempfile::TempDir,
    up: Process,
    base: u16,
    collector: Collector,
    pub prompt: Canary,
    secrets: Vec<Canary>,
    told: Vec<Told>,
    pages: Vec<u8>,
}

impl Place {
    /// Starts it and waits until all of it answers.
    pub async fn start(further: &str) -> Self {
        let (directory, collector) = (tempfile::tempdir().unwrap(), Collector::start_verbatim().await);
        let prompt = Canary::new("the prompt");
        let secrets: Vec<_> = SECRETS.into_iter().chain(["stranger"]).map(Canary::new).collect();
        for secret in &secrets {
            fs::write(directory.path().join(secret.what), secret.key()).unwrap();
        }
        let gossip = Gossip::start(prompt.word()).await;
        fs::write(directory.path().join("holdfast.toml"), config(&gossip) + further).unwrap();
        let base = free_ports(7);
        let mut command = Command::new(executable());
        command.args(["up", "--data", "data", "--port-base", &base.to_string()]).current_dir(directory.path());
        let header = secrets.iter().find(|secret| secret.what == "collector").unwrap().word().to_owned();
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
        command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-api-key={header}"));
        command.env("OTEL_TRACES_SAMPLER", "always_on").env("OTEL_METRIC_EXPORT_INTERVAL", "200");
        command.env("HOLDFAST_TELEMETRY__LOG", "debug");
        let up = Process::start("up", command, directory.path());
        let (told, pages) = (Vec::new(), Vec::new());
        let mut place = Self { directory, up, base, collector, prompt, secrets, told, pages };
        place.is_ready().await;
        place
    }

    async fn is_ready(&mut self) {
        let until = Instant::now() + WITHIN;
        let mut looks = interval(Duration::from_millis(50));
        // At last the gateway finds the queue: what is submitted before that is refused.
        let signs = (0..7).map(|offset| (offset, "/healthz", "")).chain([(0, "/metrics", LINK_UP)]);
        for (offset, path, sign) in signs {
            while !self.get(offset, path).await.is_some_and(|page| page.contains(sign)) {
                assert!(self.up.ended().is_none() && Instant::now() < until, "it is not ready: {}", self.up.log());
                looks.tick().await;
            }
        }
    }

    async fn get(&self, offset: u16, path: &str) -> Option<String> {
        let answer = client().get(self.url(offset, path)).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }

    /// Where a path of a service is: the services stand in the order of their ports.
    pub fn url(&self, offset: u16, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.base + offset)
    }

    pub fn channel(&self, offset: u16) -> Channel {
        Endpoint::from_shared(self.url(offset, "")).unwrap().connect_lazy()
    }

    pub fn command(&self, key: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(executable());
        command.args(["--address", &self.url(0, ""), "--api-key", &format!("file:{key}")]).args(arguments);
        command.current_dir(self.directory.path()).env("RUST_LOG", "debug").kill_on_drop(true);
        command
    }

    /// A secret in its whole length.
    pub fn secret(&self, what: &str) -> String {
        self.secrets.iter().find(|secret| secret.what == what).expect("it has a file").key()
    }

    /// A lease token, which is a secret from now on.
    pub fn learn(&mut self, token: &str) {
        let signature = token.rsplit('.').next().expect("it has an end");
        self.secrets.push(Canary::of("a lease token", signature));
    }

    pub fn hears(&mut self, to: impl Into<String>, bytes: impl Into<Vec<u8>>, quotes: bool) {
        self.told.push(Told { to: to.into(), bytes: bytes.into(), quotes });
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Takes what the pages of metrics show, and ends all as Ctrl-C does.
    pub async fn ends(&mut self) {
        for offset in 0..7 {
            let page = self.get(offset, "/metrics").await.expect("a service shows its metrics");
            self.pages.extend(page.into_bytes());
        }
        self.up.signal(Signal::Interrupt).await;
        let ended = tokio::time::timeout(WITHIN, self.up.wait()).await;
        assert!(ended.expect("it drains").success(), "it ends well: {}", self.up.log());
    }

    /// Looks for secrets everywhere, and for the prompt where it does not belong. Beside what was told, these folders are
    /// looked at; files there that are named so may hold it.
    pub fn look(&self, folders: &[&Path], home: &[&str]) {
        let told = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(told.path().join(name), bytes).unwrap();
        let (log, sent) = (self.up.log(), self.collector.verbatim());
        assert!(!sent.is_empty() && log.contains("DEBUG"), "there is something to look at");
        put("the log", log.as_bytes());
        put("what was exported", &sent);
        put("the pages of metrics", &self.pages);
        for (number, Told { to, bytes, quotes }) in self.told.iter().enumerate() {
            put(&format!("{number} told to {to}{}", if *quotes { QUOTING } else { "" }), bytes);
        }
        let canaries: Vec<_> = self.secrets.iter().chain([&self.prompt]).cloned().collect();
        let places: Vec<_> = folders.iter().copied().chain([told.path()]).collect();
        let found = canary::find(&canaries, &places);
        let is_prompt = |find: &&Find| find.canary == self.prompt;
        let at_home =
            |find: &&Find| is_prompt(find) && home.iter().chain([&QUOTING]).any(|name| names(&find.path, name));
        let strange: Vec<_> = found.iter().filter(|find| !at_home(find)).map(described).collect();
        assert!(strange.is_empty(), "{} finds:\n{}", strange.len(), strange.join("\n"));
        for name in home {
            assert!(found.iter().any(|find| is_prompt(&find) && names(&find.path, name)), "it went through {name}");
        }
    }
}

fn names(path: &Path, name: &str) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().contains(name))
}

fn described(Find { canary, path, around }: &Find) -> String {
    format!("{} in {}: …{around}…", canary.what, path.display())
}

/// Of plain HTTP; the library wants a cryptography all the same.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().tls_certs_only([]).no_proxy().build().expect("a plain client")
}

fn config(gossip: &Gossip) -> String {
    let mut config = String::from(
        "[gateway]\nextra_agents = [\"work\"]\n\
         [mesh]\ncredential = \"file:credential\"\nlease_key = \"file:lease-key\"\n\
         [simulator]\n",
    );
    for role in ["caller", "worker", "operator"] {
        config += &format!(
            "[[gateway.keys]]\nname = \"{role}\"\nkey = \"file:{role}\"\ntenant = \"acme\"\nrole = \"{role}\"\n"
        );
    }
    for model in MODELS {
        config += &format!(
            "[providers.{model}]\nkind = \"openai\"\nbase_url = {:?}\ncooldown = \"100ms\"\n\
             keys = [{{ name = \"main\", key = \"file:provider\", requests_per_minute = 1000 }}]\n\
             [models.{model}]\ndeployments = [{{ provider = \"{model}\", model = \"{model}\" }}]\n",
            gossip.url("/v1")
        );
    }
    for (tool, effect, secret) in TOOLS {
        let schema = r#"{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}"#;
        config += &format!(
            "[tools.{tool}]\nurl = {:?}\neffect = \"{effect}\"\n{secret}\ntimeout = \"1s\"\nschema = '''{schema}'''\n\
             fallback = [{{ kind = \"unavailable\", advice = \"Go on without it.\" }}]\n",
            gossip.url(&format!("/tools/{tool}"))
        );
    }
    config += &format!(
        "[mcp.gossip]\nurl = {:?}\nbearer = \"file:mcp\"\n\
         fallback = [{{ kind = \"unavailable\", advice = \"Go on without it.\" }}]\n",
        gossip.url("/mcp")
    );
    let tools: Vec<_> = TOOLS.iter().map(|(tool, ..)| tool).collect();
    config += &format!("[agents.asks]\nmodel = \"answers\"\ninstructions = \"Help.\"\ntools = {tools:?}\n");
    for model in ["refuses", "denies", "breaks"] {
        config += &format!("[agents.{model}]\nmodel = \"{model}\"\n");
    }
    config
}
