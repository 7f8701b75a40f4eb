use std::time::Duration;

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    RedisResult, Value, aio::MultiplexedConnection,
};
use holdfast_config::{Redis as Settings, RedisKind, RedisNode, RedisUrl, Secret};
use rustls::crypto::ring;

use crate::{
    error,
    news::{self, Line},
};

/// A node of a Cluster sends on to another at most so often.
const HOPS_MAX: usize = 4;

/// How Redis is found.
#[derive(Debug)]
pub struct Way {
    kind: RedisKind,
    url: RedisUrl,
    sentinel_password: Option<Secret>,
    timeout: Duration,
}

impl Way {
    /// By the settings; `None` where they name no Redis. Nothing is opened yet.
    pub fn new(settings: &Settings) -> Option<Self> {
        let way = Self {
            kind: settings.kind()?,
            url: settings.url.clone()?,
            sentinel_password: settings.sentinel_password.clone(),
            timeout: *settings.timeout,
        };
        // Where somebody installed a provider already, it is this one.
        let _ = ring::default_provider().install_default();
        Some(way)
    }

    /// How the nodes that are named hang together.
    pub fn kind(&self) -> &RedisKind {
        &self.kind
    }

    /// The nodes that are named.
    pub fn nodes(&self) -> &[RedisNode] {
        self.url.nodes()
    }

    /// A connection to where a key is and may be written, which brings the news of a channel.
    ///
    /// # Errors
    /// What the last of the nodes said.
    pub async fn connect(&self, key: &str, channel: &str) -> RedisResult<Line> {
        let mut last = error("no Redis is named");
        for at in self.nodes() {
            match self.through(at, key).await {
                Ok(mut line) => {
                    line.link.subscribe(channel).await?;
                    return Ok(line);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A connection to a node, logged in, which asks nothing by itself. Dialling and each answer take at most the patience.
    ///
    /// # Errors
    /// There is none to be had.
    pub async fn dial(&self, at: &RedisNode, patience: Duration) -> RedisResult<MultiplexedConnection> {
        self.open(at, self.login(), plain(patience)).await
    }

    /// Who the master of this name is, by a Sentinel; `None` where it knows none.
    ///
    /// # Errors
    /// It does not say.
    pub async fn ask_sentinel(
        &self,
        at: &RedisNode,
        master: &str,
        patience: Duration,
    ) -> RedisResult<Option<RedisNode>> {
        let login = login(None, self.sentinel_password.as_ref().map(Secret::reveal));
        let mut sentinel = self.open(at, login, plain(patience)).await?;
        let mut question = ::redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(master);
        let said: Option<(String, u16)> = question.query_async(&mut sentinel).await?;
        Ok(said.map(|(host, port)| RedisNode { host, port }))
    }

    async fn through(&self, at: &RedisNode, key: &str) -> RedisResult<Line> {
        match &self.kind {
            RedisKind::Single => self.master(at).await,
            RedisKind::Sentinel { master } => {
                let named = self.ask_sentinel(at, master, self.timeout).await?;
                self.master(&named.ok_or_else(|| error("the Sentinel knows no such master"))?).await
            }
            RedisKind::Cluster => self.follow(at.clone(), key).await,
        }
    }

    /// A node of a Cluster says who has a key.
    async fn follow(&self, mut at: RedisNode, key: &str) -> RedisResult<Line> {
        for _ in 0..HOPS_MAX {
            let mut line = self.master(&at).await?;
            let asked: RedisResult<Value> = ::redis::cmd("EXISTS").arg(key).query_async(&mut line.link).await;
            let Err(moved) = asked else { return Ok(line) };
            let (to, _) = moved.redirect_node().ok_or_else(|| moved.clone())?;
            let (host, port) = to.rsplit_once(':').ok_or_else(|| error("a node names no other"))?;
            let host = if host.is_empty() { at.host } else { host.trim_matches(['[', ']']).to_owned() };
            at = RedisNode { host, port: port.parse().map_err(|_| error("a node names no port"))? };
        }
        Err(error("the nodes of the Cluster send us round in circles"))
    }

    /// A connection to a node that takes writes.
    async fn master(&self, at: &RedisNode) -> RedisResult<Line> {
        let (told, news) = news::channel();
        let config = plain(self.timeout).set_push_sender(move |push| news::pass_on(&told, push));
        let mut link = self.open(at, self.login().set_protocol(ProtocolVersion::RESP3), config).await?;
        let said: Vec<Value> = ::redis::cmd("ROLE").query_async(&mut link).await?;
        match said.first().map(::redis::from_redis_value_ref::<String>) {
            Some(Ok(role)) if role == "master" => Ok(Line { link, news }),
            _ => Err(error("it is no master")),
        }
    }

    async fn open(
        &self,
        at: &RedisNode,
        login: RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let (host, port) = (at.host.clone(), at.port);
        let address = if self.url.is_tls() {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let client = Client::open(address.into_connection_info()?.set_redis_settings(login))?;
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    fn login(&self) -> RedisConnectionInfo {
        login(self.url.user(), self.url.password()).set_db(self.url.database())
    }
}

fn plain(patience: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(patience)).set_response_timeout(Some(patience))
}

fn login(user: Option<&str>, password: Option<&str>) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(password) = password {
        login = login.set_password(password);
    }
    login
}
