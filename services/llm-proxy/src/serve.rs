use std::{collections::BTreeMap, fs::File, path::Path, sync::Arc};

use holdfast_config::{Common, Secret, Tls};
use holdfast_proto::llm::v1::llm_service_server::LlmServiceServer;
use holdfast_resilience::{Breaker, breaker::State};
use holdfast_rpc::{
    server::Limits,
    service::{Host, Routes, ServeError, Serving},
    web::{Guard, openai},
};
use parking_lot::RwLock;
use tokio::sync::Notify;
use tower::ServiceExt as _;

use crate::{
    Config,
    accounts::Accounts,
    clock::Clock,
    config::{self, Kind},
    domain::{Bounds, Estimator, Shares},
    gate::Gate,
    grpc::Grpc,
    levels,
    llm::Llm,
    metrics::{self, Calls, Estimates, Gauges, Waits},
    model::{self, Deployment, House, Model, Rest},
    provider::{self, Anthropic, OpenAi, Provider},
    reload::Reload,
    sharing::Duty,
    web::{self, Endpoint, Intake},
};

/// Serves model calls until the host is told to stop.
///
/// # Errors
/// The data directory or an authority cannot be used; the listener broke.
pub fn serve(common: Common, config: Config, host: Host) -> Serving {
    Box::pin(run(common, config, host))
}

async fn run(common: Common, config: Config, host: Host) -> Result<(), ServeError> {
    metrics::describe();
    let dir = common.data.dir.join("llm-proxy");
    let unusable = |why: std::io::Error| ServeError::Data { path: dir.clone(), why: why.to_string() };
    std::fs::create_dir_all(&dir).map_err(unusable)?;
    let lock = File::create(dir.join("lock")).map_err(unusable)?;
    lock.try_lock().map_err(|_| ServeError::Data {
        path: dir.clone(),
        why: "another llm-proxy works on it, and two would not know of each other's calls".into(),
    })?;
    let clock = Clock::start();
    let mut houses = BTreeMap::new();
    for (name, provider) in &config.providers {
        houses.insert(name.as_str(), Arc::new(house(name, provider, &config, &common, &dir, &clock)?));
    }
    let rounds = |(name, house): (&&str, &Arc<House>)| Duty::start(&common.redis, name, house.gate.rounds());
    let sharing: Vec<_> = houses.iter().filter_map(rounds).collect();
    let mut estimators = Estimators::new();
    let models =
        config.models.iter().map(|(name, model)| self::model(name, model, &config, &houses, &mut estimators)).collect();
    tokio::task::spawn_blocking(move || estimators.into_values().for_each(|estimator| estimator.prepare()));
    let all: Vec<_> = houses.values().cloned().collect();
    tokio::spawn(levels::run(all.clone(), host.stop()));
    let accounts = Accounts::new(&common, &config.llm_proxy.budgets).map_err(ServeError::other)?;
    let keeping = accounts.start();
    let by_name = houses.iter().map(|(name, house)| ((*name).to_owned(), Arc::clone(house))).collect();
    if let Some(reload) = Reload::new(&config, by_name) {
        tokio::spawn(reload.run(host.stop()));
    }
    let llm = Arc::new(Llm::new(models, all, accounts, common.tenants.clone(), &config.llm_proxy));
    let intake = Intake::new(config.llm_proxy.request_bytes_max.bytes(), config.llm_proxy.waiting_bytes_max.bytes());
    let endpoint = Endpoint {
        llm: llm.clone(),
        guard: Guard::new(&config.llm_proxy.hosts, &[], host.is_loopback()),
        intake: intake.clone(),
        stop: host.stop(),
        since: web::now(),
    };
    let keys = config.callers.as_ref().map(|callers| callers.keys(web::PATH));
    let host = host.with_web_as(web::PATH, web::routes(endpoint), openai::refuse).with_keys(keys);
    let service = LlmServiceServer::new(Grpc::new(llm.clone(), host.stop()))
        .max_decoding_message_size(config.llm_proxy.request_bytes_max.bytes())
        .max_encoding_message_size(config.llm_proxy.answer_bytes_max.bytes() * 2);
    // A stream whose reader's connection stands still holds so much: thousands of them must fit.
    let host = host.with_limits(Limits { send_buffer_max: 16 << 10, ..Limits::default() });
    // Calls over gRPC take up room beside those over plain HTTP.
    let weigh = move |request| intake.weigh(request);
    let served = host.serve(Routes::new(service).map(|service| service.map_request(weigh))).await;
    // Answers that ended in the drain are kept too.
    llm.settle();
    futures::future::join_all(sharing.into_iter().map(Duty::end)).await;
    keeping.end().await;
    drop(lock);
    served
}

fn house(
    name: &str,
    provider: &config::Provider,
    config: &Config,
    common: &Common,
    dir: &Path,
    clock: &Clock,
) -> Result<House, ServeError> {
    let (base_url, simulated) = common.mesh.resolve(&provider.base_url);
    // The mesh's own simulator shows the mesh's own certificate.
    let own = common.tls.as_ref().and_then(Tls::trusted).filter(|_| simulated);
    let authority = provider.authority.as_ref().or(own).cloned();
    let bounds =
        Bounds { calls: config.llm_proxy.waiting_calls_max, bytes: config.llm_proxy.waiting_bytes_max.bytes() };
    let order = (bounds, *config.llm_proxy.priority_ageing);
    let limits = model::limits(&provider.keys, *provider.window);
    let sharing = &config.llm_proxy.sharing;
    warn_of_nothing(name, sharing, &provider.keys, common);
    let shares = common
        .redis
        .url
        .as_ref()
        .map(|_| Shares { reserve_percent: sharing.reserve_percent, processes_max: sharing.processes_max });
    let gate = Gate::open(dir, name, limits, order, shares, clock.clone(), Gauges::new(name))
        .map_err(|error| ServeError::Data { path: dir.into(), why: error.to_string() })?;
    Ok(House {
        name: name.to_owned(),
        simulated,
        provider: upstream(name, provider, (base_url, simulated), authority, config)?,
        gate,
        keys: RwLock::new(model::named(&provider.keys, simulated)),
        cooldown: *provider.cooldown,
        quarantine: *provider.quarantine,
    })
}

/// Whoever shares small limits should know what an outage of Redis costs.
fn warn_of_nothing(provider: &str, sharing: &config::Sharing, keys: &[config::Key], common: &Common) {
    let nothing = sharing.nothing_alone(keys);
    if common.redis.url.is_some() && !nothing.is_empty() {
        tracing::warn!(
            provider,
            limits = nothing.join(", "),
            "of these limits a process has no part while Redis is away, and no call passes then: raise \
             llm_proxy.sharing.reserve_percent, or lower processes_max, where that matters",
        );
    }
}

fn upstream(
    name: &str,
    provider: &config::Provider,
    (base_url, simulated): (String, bool),
    authority: Option<Secret>,
    config: &Config,
) -> Result<Box<dyn Provider>, ServeError> {
    let settings = provider::Settings {
        base_url,
        authority,
        simulated,
        connect_timeout: *provider.connect_timeout,
        timeout: *provider.timeout,
        idle_timeout: *provider.idle_timeout,
        answer_bytes_max: config.llm_proxy.answer_bytes_max.bytes(),
        trace: provider.trace,
    };
    let version = provider.api_version.as_deref();
    let opened: Result<Box<dyn Provider>, String> = match provider.kind {
        Kind::OpenAi => OpenAi::open(settings).map(|provider| Box::new(provider) as _),
        Kind::Azure => OpenAi::azure(version.unwrap_or_default(), settings).map(|provider| Box::new(provider) as _),
        Kind::Anthropic => Anthropic::open(version, settings).map(|provider| Box::new(provider) as _),
    };
    opened.map_err(|why| ServeError::other(format!("providers.{name}: {why}")))
}

/// One for each upstream model: what one deployment learns of it, all know.
type Estimators = BTreeMap<String, Arc<Estimator>>;

fn model(
    name: &str,
    model: &config::Model,
    config: &Config,
    houses: &BTreeMap<&str, Arc<House>>,
    estimators: &mut Estimators,
) -> Model {
    let deployments = model.deployments.iter().map(|deployment| {
        let house = houses[deployment.provider.as_str()].clone();
        let name = format!("{}/{}", deployment.provider, deployment.model);
        let new = || Arc::new(Estimator::new(deployment.tokenizer, &deployment.model));
        let estimator = estimators.entry(name.clone()).or_insert_with(new).clone();
        Arc::new(self::deployment(name, deployment, &config.providers[&deployment.provider], house, estimator))
    });
    Model {
        name: name.to_owned(),
        deployments: deployments.collect(),
        max_output_tokens: model.max_output_tokens,
        fallback_after: model.fallback_after.map(|time| *time),
        fallback: model.fallback.as_ref().map(|fallback| fallback.answer.clone()),
        // Its rules hold: they were looked at with the rest of the section.
        traced: model.traced().ok().flatten(),
        waits: Waits::of(name),
    }
}

fn deployment(
    name: String,
    deployment: &config::Deployment,
    provider: &config::Provider,
    house: Arc<House>,
    estimator: Arc<Estimator>,
) -> Deployment {
    let shut = Arc::new(Notify::new());
    Deployment {
        upstream: deployment.model.clone(),
        lane: house.gate.lane(&deployment.model),
        weight: deployment.weight,
        context_tokens: deployment.context_tokens,
        estimator,
        house,
        breaker: breaker(&name, &provider.breaker, Arc::clone(&shut)),
        shut,
        rest: Rest::default(),
        rest_max: *provider.breaker.open_max,
        calls: Calls::of(&name),
        estimates: Estimates::of(&name),
        name,
    }
}

fn breaker(deployment: &str, settings: &config::Breaker, shut: Arc<Notify>) -> Breaker {
    let name = deployment.to_owned();
    metrics::circuit_stands(&name, State::Closed);
    Breaker::with_listener(settings.settings(), move |circuit| {
        metrics::circuit_changed(&name, circuit.state);
        if circuit.state == State::Open {
            shut.notify_waiters();
        }
        tracing::warn!(deployment = name, state = ?circuit.state, reason = %circuit.reason, "a circuit changed");
    })
}
