mod url;

use serde::Deserialize;

pub use url::{RedisKind, RedisNode, RedisUrl};

use crate::{Invalid, Secret, Size, Span};

/// A Redis that processes share. Without a URL there is none.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// One Redis, the nodes of a Cluster, or Sentinels; or a reference to such a text.
    pub url: Option<RedisUrl>,
    /// The master's name, where the URLs are those of its Sentinels.
    pub sentinel: Option<String>,
    /// What Sentinels are shown, where they ask for it.
    pub sentinel_password: Option<Secret>,
    /// What records at rest may take in it, all shards together.
    pub cache: Size,
    /// How long one call may take.
    pub timeout: Span,
    /// How long it may be away before somebody else decides.
    pub gone_after: Span,
    /// What the keys begin with: two meshes in one Redis have two.
    pub prefix: String,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: None,
            sentinel: None,
            sentinel_password: None,
            cache: Size::from_mib(256),
            timeout: Span::from_secs(1),
            gone_after: Span::from_secs(3),
            prefix: "hf".into(),
        }
    }
}

impl Redis {
    /// Checks the settings against each other.
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        let invalid = |key: &str, why: &str| Err(Invalid::new(format!("redis.{key}"), why));
        if self.cache.bytes() < 1 << 20 {
            return invalid("cache", "must be at least 1MiB");
        }
        if self.timeout.is_zero() {
            return invalid("timeout", "must be longer than nothing");
        }
        if *self.gone_after <= *self.timeout {
            return invalid("gone_after", "must be longer than timeout: one slow answer is not the end");
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if self.prefix.is_empty() || self.prefix.len() > 32 || !self.prefix.bytes().all(plain) {
            return invalid("prefix", "must be 1 to 32 letters, digits, or -_.:");
        }
        match (&self.url, &self.sentinel) {
            (None, Some(_)) => invalid("sentinel", "names a master, and url names no Sentinels"),
            (_, Some(name)) if name.is_empty() => {
                invalid("sentinel", "must be the master's name, such as \"mymaster\"")
            }
            (Some(url), Some(_)) if matches!(url.kind(), RedisKind::Sentinel { .. }) => {
                invalid("sentinel", "is in url already: redis+sentinel://HOST/NAME")
            }
            (url, None) if self.sentinel_password.is_some() => match url.as_ref().map(RedisUrl::kind) {
                Some(RedisKind::Sentinel { .. }) => Ok(()),
                _ => invalid("sentinel_password", "is set, and there are no Sentinels to show it to"),
            },
            _ => Ok(()),
        }
    }

    /// How the nodes of [`Self::url`] hang together.
    pub fn kind(&self) -> Option<RedisKind> {
        let url = self.url.as_ref()?;
        Some(match &self.sentinel {
            Some(master) => RedisKind::Sentinel { master: master.clone() },
            None => url.kind().clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Common, ConfigError, Document};

    fn parse(text: &str) -> Result<Redis, ConfigError> {
        Ok(Common::from_document(&Document::parse("t.toml", text, [])?)?.redis)
    }

    fn nodes(redis: &Redis) -> Vec<String> {
        redis.url.as_ref().map_or(&[][..], RedisUrl::nodes).iter().map(RedisNode::to_string).collect()
    }

    #[test]
    fn there_is_no_redis_unless_one_is_named() {
        assert!(parse("").unwrap().url.is_none());
        assert_eq!(parse("[redis]\ncache = \"1GiB\"").unwrap().kind(), None);
    }

    #[test]
    fn a_url_is_one_redis_and_a_list_is_a_cluster() {
        let one = parse("[redis]\nurl = \"redis://cache\"").unwrap();
        assert_eq!((one.kind(), nodes(&one)), (Some(RedisKind::Single), vec!["cache:6379".into()]));
        let seeds =
            parse("[redis]\nurl = [\"rediss://me:pass%2Fword@a:7000\", \"rediss://me:pass%2Fword@[::1]\"]").unwrap();
        assert_eq!(
            (seeds.kind(), nodes(&seeds)),
            (Some(RedisKind::Cluster), vec!["a:7000".into(), "[::1]:6379".into()])
        );
        let url = seeds.url.unwrap();
        assert_eq!((url.is_tls(), url.user(), url.password()), (true, Some("me"), Some("pass/word")));
    }

    #[test]
    fn sentinels_are_named_in_the_url_or_beside_it() {
        let master = Some(RedisKind::Sentinel { master: "mymaster".into() });
        let one = parse("[redis]\nurl = \"redis+sentinel://:hush@a,b:5000/mymaster/2\"").unwrap();
        assert_eq!((one.kind(), nodes(&one)), (master.clone(), vec!["a:26379".into(), "b:5000".into()]));
        let url = one.url.unwrap();
        assert_eq!((url.password(), url.database()), (Some("hush"), 2));
        let other = parse("[redis]\nurl = [\"redis://a:1\", \"redis://b:2\"]\nsentinel = \"mymaster\"").unwrap();
        assert_eq!((other.kind(), nodes(&other)), (master, vec!["a:1".into(), "b:2".into()]));
    }

    #[test]
    fn no_password_is_ever_printed() {
        let redis = parse("[redis]\nurl = \"redis://me:hush@cache:1/3\"").unwrap();
        assert!(!format!("{redis:?}").contains("hush"), "{redis:?}");
        for url in ["redis://:hush@", "redis://:hush@h:x", "http://:hush@h", "redis://:hush@h/x", "redis://:hu%zz@h"] {
            let error = parse(&format!("[redis]\nurl = {url:?}")).unwrap_err();
            assert!(!error.to_string().contains("hu"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_right_is_told_by_its_key() {
        for (text, key, why) in [
            ("url = \"memcached://a\"", "redis.url", "redis://"),
            ("url = \"env:HOLDFAST_NO_SUCH_VARIABLE\"", "redis.url", "not set"),
            ("url = []", "redis.url", "at least one"),
            ("url = [\"redis://a\", \"rediss://b\"]", "redis.url", "differ"),
            ("url = [\"redis://a/1\", \"redis://b/1\"]", "redis.url", "database"),
            ("url = \"redis+sentinel://a\"", "redis.url", "master"),
            ("sentinel = \"m\"", "redis.sentinel", "no Sentinels"),
            ("url = \"redis+sentinel://a/m\"\nsentinel = \"m\"", "redis.sentinel", "already"),
            ("url = \"redis://a\"\nsentinel_password = \"env:PATH\"", "redis.sentinel_password", "no Sentinels"),
            ("cache = \"1KiB\"", "redis.cache", "1MiB"),
            ("gone_after = \"1s\"", "redis.gone_after", "timeout"),
            ("timeout = \"0s\"", "redis.timeout", "longer"),
            ("prefix = \"{a}\"", "redis.prefix", "letters"),
            ("caches = 1", "redis.caches", "unknown"),
        ] {
            let error = parse(&format!("[redis]\n{text}\n")).unwrap_err();
            assert_eq!(error.key.as_deref(), Some(key), "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
