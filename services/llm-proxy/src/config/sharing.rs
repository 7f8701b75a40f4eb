use holdfast_config::Invalid;
use serde::Deserialize;

use super::{Key, ModelLimits};

/// `[llm_proxy.sharing]`: with `[redis]`, all processes keep one limit.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sharing {
    /// The part of every limit that Redis never grants: processes go on with it while Redis is away.
    pub reserve_percent: u32,
    /// The most processes that there will be: each has an equal part of the reserve.
    pub processes_max: u32,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { reserve_percent: 2, processes_max: 8 }
    }
}

impl Sharing {
    /// Of a limit that the ledger has not: the part of each process.
    fn part(&self, limit: u64) -> u64 {
        limit / u64::from(self.processes_max.max(1))
    }

    /// Of any other limit: the part of the reserve that each process has while Redis is away.
    fn alone(&self, limit: u64) -> u64 {
        self.part(limit.saturating_mul(self.reserve_percent.into()) / 100)
    }

    /// Whether every process has something of each limit of a day, of which it has a part for good.
    pub(super) fn fits(&self, provider: &str, keys: &[Key]) -> Result<(), Invalid> {
        let none = |limit: &Limit| limit.per_day && self.part(limit.most) == 0;
        let Some((whose, limit)) = limits(keys).find(|(_, limit)| none(limit)) else { return Ok(()) };
        let Limit { name, most, .. } = limit;
        let why = format!(
            "{name} = {most} of key {whose} leaves no process anything: with [redis] each has an equal part, rounded \
             down, and llm_proxy.sharing.processes_max is {}; lower that to the processes that there are",
            self.processes_max
        );
        Err(Invalid::new(format!("providers.{provider}.keys"), why))
    }

    /// The limits of which a process has nothing while Redis is away: no call passes then.
    pub(crate) fn nothing_alone(&self, keys: &[Key]) -> Vec<String> {
        let shared = limits(keys).filter(|(_, limit)| !limit.per_day && self.alone(limit.most) == 0);
        shared.map(|(whose, limit)| format!("{} = {} of {whose}", limit.name, limit.most)).collect()
    }
}

struct Limit {
    name: &'static str,
    most: u64,
    per_day: bool,
}

/// All limits of some keys, and whose they are.
fn limits(keys: &[Key]) -> impl Iterator<Item = (String, Limit)> {
    keys.iter().flat_map(|key| {
        let own = named(&key.limits()).map(|limit| (key.name.clone(), limit)).collect::<Vec<_>>();
        let of_models = key.models.iter().flat_map(move |(model, limits)| {
            named(limits).map(move |limit| (format!("{} for {model}", key.name), limit)).collect::<Vec<_>>()
        });
        own.into_iter().chain(of_models)
    })
}

fn named(limits: &ModelLimits) -> impl Iterator<Item = Limit> {
    let all = [
        ("requests_per_minute", limits.requests_per_minute.map(u64::from), false),
        ("tokens_per_minute", limits.tokens_per_minute, false),
        ("input_tokens_per_minute", limits.input_tokens_per_minute, false),
        ("output_tokens_per_minute", limits.output_tokens_per_minute, false),
        ("concurrency", limits.concurrency.map(u64::from), false),
        ("requests_per_day", limits.requests_per_day, true),
        ("tokens_per_day", limits.tokens_per_day, true),
    ];
    all.into_iter().filter_map(|(name, most, per_day)| Some(Limit { name, most: most?, per_day }))
}

#[cfg(test)]
mod tests {
    use holdfast_config::Document;
    use holdfast_rpc::service::Settings as _;

    use crate::Config;

    fn read(key: &str, more: &str) -> Result<Config, String> {
        let provider = "[providers.p]\nkind = \"openai\"\nbase_url = \"http://p/v1\"\n";
        let toml = format!("{provider}keys = [{{ name = \"k\", {key} }}]\n{more}");
        let document = Document::parse("t.toml", &toml, []).expect("it is TOML");
        Config::from_document(&document).map_err(|error| error.to_string())
    }

    const REDIS: &str = "[redis]\nurl = \"redis://r/\"\n";

    #[test]
    fn a_day_of_which_no_process_would_have_anything_is_told_beforehand() {
        for key in ["requests_per_day = 7", "models = { m = { requests_per_day = 7 } }"] {
            read(key, "").expect("alone it has all of it");
            let refused = read(key, REDIS).expect_err("seven are no eight parts");
            assert!(refused.starts_with("t.toml:4: providers.p.keys: requests_per_day = 7 of key k"), "{refused}");
            read(key, &format!("{REDIS}[llm_proxy.sharing]\nprocesses_max = 7\n")).expect("one each");
        }
        read("requests_per_day = 8, tokens_per_day = 8", REDIS).expect("one each");
    }

    #[test]
    fn what_lets_nothing_through_without_redis_is_known() {
        let nothing = |key: &str, sharing: &str| {
            let config = read(key, &format!("{REDIS}[llm_proxy.sharing]\n{sharing}\n")).expect("it holds");
            config.llm_proxy.sharing.nothing_alone(&config.providers["p"].keys)
        };
        let small = "concurrency = 20, requests_per_minute = 400, models = { m = { requests_per_minute = 399 } }";
        assert_eq!(nothing(small, ""), ["concurrency = 20 of k", "requests_per_minute = 399 of k for m"]);
        assert_eq!(nothing("concurrency = 20", "reserve_percent = 40"), [""; 0]);
    }
}
