//! The way to the Redis that has the circuits: the one, the master that Sentinels name, or the node of a Cluster.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisConnectionInfo, RedisError, RedisResult, Value,
};
use holdfast_config::{Redis as Settings, RedisKind, RedisNode, RedisUrl, Secret};
use rustls::crypto::ring;
use tokio::sync::mpsc;

/// A node of a Cluster sends on to another at most so often.
const HOPS_MAX: usize = 4;
/// News that may wait; what finds no room is found by the next look.
const NEWS_MAX: usize = 256;

/// What a connection brings without being asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A circuit has changed.
    Changed(String),
    /// It is gone.
    Gone,
}

/// A connection with what it brings.
pub(super) struct Line {
    pub(super) link: MultiplexedConnection,
    pub(super) news: mpsc::Receiver<News>,
}

/// How Redis is found.
#[derive(Debug)]
pub(super) struct Way {
    kind: RedisKind,
    url: RedisUrl,
    sentinel_password: Option<Secret>,
    timeout: Duration,
}

impl Way {
    pub(super) fn new(settings: &Settings) -> Option<Self> {
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

    /// A connection to where a key is and may be written, which brings the news of a channel.
    pub(super) async fn connect(&self, key: &str, channel: &str) -> RedisResult<Line> {
        let mut last = error("no Redis is named");
        for at in self.url.nodes() {
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

    async fn through(&self, at: &RedisNode, key: &str) -> RedisResult<Line> {
        match &self.kind {
            RedisKind::Single => self.master(at).await,
            RedisKind::Sentinel { master } => self.master(&self.ask_sentinel(at, master).await?).await,
            RedisKind::Cluster => self.follow(at.clone(), key).await,
        }
    }

    async fn ask_sentinel(&self, at: &RedisNode, master: &str) -> RedisResult<RedisNode> {
        let login = login(None, self.sentinel_password.as_ref().map(Secret::reveal));
        let mut sentinel = self.dial(at, login, None).await?;
        let mut question = ::redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(master);
        let said: Option<(String, u16)> = question.query_async(&mut sentinel).await?;
        said.map(|(host, port)| RedisNode { host, port }).ok_or_else(|| error("the Sentinel knows no such master"))
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
        let (told, news) = mpsc::channel(NEWS_MAX);
        let login = login(self.url.user(), self.url.password()).set_db(self.url.database());
        let mut link = self.dial(at, login.set_protocol(ProtocolVersion::RESP3), Some(told)).await?;
        let said: Vec<Value> = ::redis::cmd("ROLE").query_async(&mut link).await?;
        match said.first().map(::redis::from_redis_value_ref::<String>) {
            Some(Ok(role)) if role == "master" => Ok(Line { link, news }),
            _ => Err(error("it is no master")),
        }
    }

    async fn dial(
        &self,
        at: &RedisNode,
        login: RedisConnectionInfo,
        news: Option<mpsc::Sender<News>>,
    ) -> RedisResult<MultiplexedConnection> {
        let (host, port) = (at.host.clone(), at.port);
        let address = if self.url.is_tls() {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let client = Client::open(address.into_connection_info()?.set_redis_settings(login))?;
        let patience = Some(self.timeout);
        let mut config = AsyncConnectionConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
        if let Some(news) = news {
            config = config.set_push_sender(move |push| pass_on(&news, push));
        }
        client.get_multiplexed_async_connection_with_config(&config).await
    }
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

/// An error here would end the connection.
fn pass_on(news: &mpsc::Sender<News>, push: PushInfo) -> Result<(), ()> {
    let told = match push.kind {
        PushKind::Message => {
            push.data.get(1).and_then(|name| ::redis::from_redis_value_ref(name).ok()).map(News::Changed)
        }
        PushKind::Disconnection => Some(News::Gone),
        _ => None,
    };
    if let Some(told) = told {
        // Without room it is left out.
        let _ = news.try_send(told);
    }
    Ok(())
}

fn error(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, why))
}
