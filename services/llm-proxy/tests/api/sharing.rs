//! Several processes and one limit: by the provider's own count, through whatever happens to them and to Redis.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use holdfast_config::Span;
use holdfast_proto::llm::v1 as pb;
use holdfast_simulator::{Faults, Limits, Of, Running};
use holdfast_testkit::{Fault, FaultProxy, Redis, RedisSentinel, Signal};

use crate::{
    harness::{PATIENCE, allowed, model, provider},
    process::Proxy,
};

const SHARED: &str = "limits are shared";
const AWAY: &str = "Redis is away";

/// Proxies before one provider, with a Redis between them.
struct House {
    provider: Running,
    proxies: Vec<Proxy>,
    _directories: Vec<tempfile::TempDir>,
}

impl House {
    async fn start(count: usize, redis: &str, key: &str, limits: Limits, sharing: &str) -> Self {
        let window = limits.window.as_millis();
        let provider = provider(&[("simulated", limits)]).await;
        let keys = format!("{{ name = \"simulated\", {key} }}");
        let toml = format!(
            "[llm_proxy.sharing]\n{sharing}\n[redis]\nurl = \"{redis}\"\n{}",
            model(&keys, &format!("window = \"{window}ms\""))
        );
        let mut house = Self { provider, proxies: Vec::new(), _directories: Vec::new() };
        for _ in 0..count {
            let directory = tempfile::tempdir().expect("a temporary directory");
            house.proxies.push(Proxy::start(directory.path(), &house.provider, &toml).await);
            house._directories.push(directory);
        }
        house
    }

    async fn all_log(&mut self, text: &str) {
        for proxy in &mut self.proxies {
            proxy.until_logged(text).await;
        }
    }

    /// So many calls, by all in turn, all at once; how many were answered.
    async fn calls(&self, count: usize, within: Duration) -> usize {
        let calls: FuturesUnordered<_> =
            (0..count).map(|number| self.proxies[number % self.proxies.len()].say(within)).collect();
        calls.filter(|answer| std::future::ready(answer.is_ok())).count().await
    }

    fn none_was_too_much(&self, limit: u64) {
        let counts = self.provider.counts().key("simulated");
        assert_eq!(counts.refused, 0, "{counts:?}");
        assert!(counts.most.requests <= limit, "{counts:?}");
    }
}

fn requests(limit: u32, window_ms: u64) -> Limits {
    allowed(Some(limit), None, window_ms)
}

#[tokio::test]
async fn processes_use_one_limit_together_and_no_more_than_it() {
    let redis = Redis::start().await;
    let house = House::start(3, &redis.url(), "requests_per_minute = 50", requests(50, 1_000), "").await;
    assert_eq!(house.calls(240, PATIENCE).await, 240);
    house.none_was_too_much(50);
}

#[tokio::test]
async fn places_go_to_whoever_needs_them_and_those_of_the_dead_to_the_living() {
    let redis = Redis::start().await;
    let mut house = House::start(2, &redis.url(), "concurrency = 4", allowed(None, Some(4), 60_000), "").await;
    house.all_log(SHARED).await;
    house.provider.set_faults(Of::Provider, Faults { latency: Span::from_secs(60), ..Faults::default() });
    let dies = house.proxies.remove(0);
    let lives = house.proxies.remove(0);
    let client = dies.client.clone();
    let calling: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { crate::harness::say_within(&client, "hi", PATIENCE).await })
        })
        .collect();
    house.provider.until(|counts| counts.key("simulated").in_flight == 4).await;
    dies.kill().await;
    let waiting = tokio::spawn(async move { lives.say(PATIENCE).await });
    let counts = house.provider.until(|counts| counts.key("simulated").requests == 5).await;
    assert_eq!((counts.refused(), counts.key("simulated").in_flight_max), (0, 4));
    waiting.abort();
    calling.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn without_redis_each_goes_on_with_its_share_of_the_reserve_until_it_is_there() {
    let redis = Redis::start().await;
    let link = FaultProxy::to(redis.address()).await;
    link.set(Fault::Refuse);
    let url = format!("redis://{}", link.address());
    let sharing = "reserve_percent = 50\nprocesses_max = 2";
    let mut house = House::start(2, &url, "requests_per_minute = 8", requests(8, 3_000), sharing).await;
    house.all_log(AWAY).await;
    assert_eq!(house.calls(20, Duration::from_millis(1_500)).await, 4, "two of each");
    link.set(Fault::None);
    assert_eq!(house.calls(16, PATIENCE).await, 16);
    house.all_log(SHARED).await;
    house.none_was_too_much(8);
}

#[tokio::test]
async fn a_killed_process_neither_loses_its_part_nor_lets_others_have_it_too_soon() {
    let redis = Redis::start().await;
    let mut house = House::start(3, &redis.url(), "requests_per_minute = 60", requests(60, 1_500), "").await;
    house.all_log(SHARED).await;
    let dies = house.proxies.remove(0);
    let client = dies.client.clone();
    let doomed = tokio::spawn(async move {
        let calls = (0..60).map(|_| crate::harness::say_within(&client, "hi", PATIENCE));
        futures::future::join_all(calls).await
    });
    let provider = house.provider.until(|counts| counts.answered() > 10);
    let (answered, ()) = tokio::join!(house.calls(200, PATIENCE), async {
        provider.await;
        dies.kill().await;
    });
    assert_eq!(answered, 200);
    doomed.abort();
    house.none_was_too_much(60);
}

/// Calls go on while something happens to Redis.
async fn through(redis: &mut Redis, url: &str, happens: impl AsyncFnOnce(&mut Redis, &House)) {
    let mut house = House::start(2, url, "requests_per_minute = 60", requests(60, 1_500), "").await;
    house.all_log(SHARED).await;
    let (answered, ()) = tokio::join!(house.calls(240, PATIENCE), happens(redis, &house));
    assert_eq!(answered, 240);
    house.none_was_too_much(60);
}

async fn half_way(provider: &Running) {
    provider.until(|counts| counts.answered() > 60).await;
}

#[tokio::test]
async fn another_redis_begins_with_its_window_as_spent() {
    let mut redis = Redis::start().await;
    let url = redis.url();
    through(&mut redis, &url, async |redis, house| {
        half_way(&house.provider).await;
        redis.replace().await;
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_lost_its_last_second_is_another() {
    let mut redis = Redis::start_with(&["--appendfsync", "no"]).await;
    let url = redis.url();
    through(&mut redis, &url, async |redis, house| {
        half_way(&house.provider).await;
        redis.restart().await;
    })
    .await;
}

#[tokio::test]
async fn a_frozen_redis_costs_the_lease_and_no_more() {
    let mut redis = Redis::start().await;
    let url = redis.url();
    through(&mut redis, &url, async |redis, house| {
        half_way(&house.provider).await;
        redis.signal(Signal::Stop).await;
        for proxy in &house.proxies {
            while !proxy.metrics().await.contains("holdfast_llm_limits_shared{provider=\"sim\"} 0") {}
        }
        redis.signal(Signal::Continue).await;
    })
    .await;
}

#[tokio::test]
async fn after_a_failover_the_new_master_begins_with_its_window_as_spent() {
    let mut master = Redis::start().await;
    let replica = Redis::start_replica(master.address()).await;
    let mut sentinel = RedisSentinel::start(&master).await;
    let url = sentinel.url();
    through(&mut master, &url, async |master, house| {
        half_way(&house.provider).await;
        master.kill().await;
        sentinel.names(&replica).await;
    })
    .await;
}

#[tokio::test]
async fn a_process_that_stood_still_does_not_use_what_others_have_by_now() {
    let redis = Redis::start().await;
    let mut house = House::start(2, &redis.url(), "requests_per_minute = 60", requests(60, 1_500), "").await;
    house.all_log(SHARED).await;
    let (answered, ()) = tokio::join!(house.calls(240, PATIENCE), async {
        half_way(&house.provider).await;
        house.proxies[0].signal("STOP").await;
        let before = house.provider.counts().answered();
        house.provider.until(|counts| counts.answered() > before + 30).await;
        house.proxies[0].signal("CONT").await;
    });
    assert_eq!(answered, 240);
    house.none_was_too_much(60);
}

#[tokio::test]
async fn nothing_of_a_conversation_is_in_redis() {
    let redis = Redis::start().await;
    let mut house = House::start(1, &redis.url(), "requests_per_minute = 50", requests(50, 300), "").await;
    house.all_log(SHARED).await;
    assert_eq!(house.calls(3, PATIENCE).await, 3);
    let said = redis.command("HGETALL {hf:llm:sim}:ledger").await.expect("it answers");
    assert!(said.contains("simulated/Requests"), "{said}");
    assert!(!said.contains("hi\r\n"), "{said}");
}

/// A call by this process that nobody waits for.
fn call(proxy: &Proxy) -> tokio::task::JoinHandle<bool> {
    let client = proxy.client.clone();
    tokio::spawn(async move { crate::harness::say_within(&client, "hi", PATIENCE).await.is_ok() })
}

#[tokio::test]
async fn a_frozen_redis_leaves_places_to_who_has_them_and_to_each_process_its_share_of_the_reserve() {
    let redis = Redis::start().await;
    let sharing = "reserve_percent = 50\nprocesses_max = 2";
    let mut house = House::start(2, &redis.url(), "concurrency = 4", allowed(None, Some(4), 60_000), sharing).await;
    house.all_log(SHARED).await;
    house.provider.set_faults(Of::Provider, Faults { latency: Span::from_secs(60), ..Faults::default() });
    let leased = [call(&house.proxies[0]), call(&house.proxies[0])];
    house.provider.until(|counts| counts.key("simulated").in_flight == 2).await;
    redis.signal(Signal::Stop).await;
    house.all_log(AWAY).await;
    let calls: Vec<_> = house.proxies.iter().chain(&house.proxies).map(call).collect();
    let counts = house.provider.until(|counts| counts.key("simulated").in_flight == 4).await;
    assert_eq!(counts.refused(), 0, "one more of each");
    leased.iter().chain(&calls).for_each(tokio::task::JoinHandle::abort);
    house.provider.until(|counts| counts.key("simulated").in_flight == 0).await;
    house.provider.set_faults(Of::Provider, Faults::default());
    redis.signal(Signal::Continue).await;
    house.all_log(SHARED).await;
    assert_eq!(house.calls(20, PATIENCE).await, 20);
    let counts = house.provider.counts();
    assert_eq!((counts.refused(), counts.key("simulated").in_flight_max), (0, 4));
}

#[tokio::test]
async fn operators_see_whether_limits_are_shared() {
    let redis = Redis::start().await;
    let house = House::start(1, &redis.url(), "concurrency = 4", allowed(None, Some(4), 60_000), "").await;
    let interval = Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 });
    let request = pb::WatchCapacityRequest { interval, ..Default::default() };
    let mut news = house.proxies[0].client.clone().watch_capacity(request).await.expect("it begins").into_inner();
    let mut until = async |shared: bool| {
        let told = async {
            while news.message().await.expect("it goes on").expect("it has no end").providers[0].shared != shared {}
        };
        tokio::time::timeout(PATIENCE, told).await.expect("it is told before long");
    };
    until(true).await;
    redis.signal(Signal::Stop).await;
    until(false).await;
    redis.signal(Signal::Continue).await;
    until(true).await;
}
