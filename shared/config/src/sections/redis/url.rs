use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::Secret;

/// Where a Redis is, or the several that are one. It may hold a password, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    kind: RedisKind,
    tls: bool,
    nodes: Vec<RedisNode>,
    user: Option<String>,
    password: Option<Secret>,
    database: i64,
}

/// How several nodes hang together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisKind {
    /// One Redis.
    Single,
    /// Sentinels, who know where the master is.
    Sentinel {
        /// Its name.
        master: String,
    },
    /// Some nodes of a Cluster, who know the others.
    Cluster,
}

/// Where one process is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RedisNode {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for RedisNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

const WANTED: &str = "is not a Redis: write \"redis://HOST:PORT\", rediss:// for TLS, a list of them for a Cluster, \
                      \"redis+sentinel://HOST,HOST/MASTER\" for Sentinels, or a reference such as \"env:REDIS_URL\"";

impl RedisUrl {
    /// How the nodes hang together, by the URL alone.
    pub fn kind(&self) -> &RedisKind {
        &self.kind
    }

    /// The nodes that it names: at least one.
    pub fn nodes(&self) -> &[RedisNode] {
        &self.nodes
    }

    /// Whether connections are TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Who logs in.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password. Whoever calls this takes care that it is not printed.
    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(Secret::reveal)
    }

    /// The number of the database in it.
    pub fn database(&self) -> i64 {
        self.database
    }

    /// By the texts of one URL or several.
    ///
    /// # Errors
    /// What is wrong, without what they hold.
    pub fn parse(urls: &[String]) -> Result<Self, String> {
        let mut all = urls.iter().map(|url| Self::resolve(url));
        let mut first = all.next().unwrap_or_else(|| Err("must name at least one Redis".into()))?;
        for other in all {
            let other = other?;
            let same = |one: &Self| (one.tls, one.user.clone(), one.password().map(str::to_owned), one.database);
            if same(&first) != same(&other) || first.kind != other.kind {
                return Err("the URLs differ in more than their hosts".into());
            }
            first.nodes.extend(other.nodes);
        }
        if urls.len() > 1 && first.kind == RedisKind::Single {
            first.kind = RedisKind::Cluster;
        }
        if first.kind == RedisKind::Cluster && first.database != 0 {
            return Err("a Cluster has no database but 0".into());
        }
        Ok(first)
    }

    fn resolve(text: &str) -> Result<Self, String> {
        if !(text.starts_with("env:") || text.starts_with("file:")) {
            return Self::one(text);
        }
        let secret = Secret::resolve(text)?;
        let hide = |why: String| format!("{}: {why}", secret.reference());
        // A reference may hold a whole list. The commas between hosts of Sentinels are followed by no scheme.
        let mut urls: Vec<String> = Vec::new();
        for part in secret.reveal().split(',') {
            match urls.last_mut() {
                Some(last) if !part.contains("://") => *last = format!("{last},{part}"),
                _ => urls.push(part.trim().to_owned()),
            }
        }
        if let [url] = &*urls { Self::one(url).map_err(hide) } else { Self::parse(&urls).map_err(hide) }
    }

    fn one(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or(WANTED)?;
        let (tls, sentinel) = match scheme {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis+sentinel" => (false, true),
            "rediss+sentinel" => (true, true),
            _ => return Err(WANTED.into()),
        };
        let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
        let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
        let default_port = if sentinel { 26_379 } else { 6_379 };
        let nodes = hosts.split(',').map(|host| node(host, default_port)).collect::<Result<Vec<_>, _>>()?;
        if nodes.len() > 1 && !sentinel {
            return Err("write the nodes of a Cluster as a list of URLs".into());
        }
        let (master, database) = match path.split_once('/') {
            Some((master, database)) if sentinel => (master, database),
            None if sentinel => (path, ""),
            _ => ("", path),
        };
        if sentinel && master.is_empty() {
            return Err("names no master: \"redis+sentinel://HOST,HOST/MASTER\"".into());
        }
        let database = if database.is_empty() { Ok(0) } else { database.parse() };
        let (user, password) = login.map_or(Ok((None, None)), credentials)?;
        let kind = if sentinel { RedisKind::Sentinel { master: decode(master)? } } else { RedisKind::Single };
        let database = database.map_err(|_| "has no database's number behind the /")?;
        Ok(Self { kind, tls, nodes, user, password: password.map(Secret::in_memory), database })
    }
}

fn node(text: &str, default_port: u16) -> Result<RedisNode, String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or("")),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    if host.is_empty() {
        return Err("names no host: \"redis://HOST:PORT\"".into());
    }
    let port = if port.is_empty() { Ok(default_port) } else { port.parse() };
    Ok(RedisNode { host: host.to_owned(), port: port.map_err(|_| "has a port that is no number")? })
}

fn credentials(login: &str) -> Result<(Option<String>, Option<String>), String> {
    let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
    let user = Some(decode(user)?).filter(|user| !user.is_empty());
    Ok((user, password.map(decode).transpose()?))
}

/// Undoes the percent signs of a URL.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |digit: Option<u8>| digit.and_then(|digit| char::from(digit).to_digit(16));
        bytes.push(match byte {
            b'%' => match (hex(rest.next()), hex(rest.next())) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return Err("has a percent sign that no two digits follow: write %25".into()),
            },
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 behind its percent signs".into())
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.nodes.iter().map(RedisNode::to_string).collect();
        write!(f, "RedisUrl({:?}, {})", self.kind, nodes.join(","))
    }
}

/// `"redis://a"`, or `["redis://a", "redis://b"]`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a URL, or a list of URLs")]
enum Written {
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for RedisUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let url = match Written::deserialize(deserializer)? {
            Written::One(url) => Self::parse(&[url]),
            Written::Several(urls) => Self::parse(&urls).map(|url| match url.kind {
                RedisKind::Single => Self { kind: RedisKind::Cluster, ..url },
                _ => url,
            }),
        };
        url.map_err(de::Error::custom)
    }
}
