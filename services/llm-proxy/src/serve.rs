use std::{collections::BTreeMap, fs::File, path::Path, sync::Arc, time::Duration};

use holdfast_config::{Common, Secret, Tls};
use holdfast_proto::llm::v1::llm_service_server::LlmServiceServer;
use holdfast_resilience::{Breaker, breaker::State};
use holdfast_rpc::service::{Host, ServeError};
use tonic::service::Routes;

use crate::{
    Config,
    clock::Clock,
    config::{self, Kind},
    domain::{Bounds, Limits},
    gate::Gate,
    grpc::Grpc,
    llm::Llm,
    metrics::{self, Gauges},
    model::{Deployment, House, Model, NamedKey},
    provider::{self, Anthropic, OpenAi, Provider},
};

/// Serves model calls until the host is told to stop.
///
/// # Errors
/// The data directory or an authority cannot be used; the listener broke.
pub async fn serve(common: Common, config: Config, host: Host) -> Result<(), ServeError> {
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
    let models = config.models.iter().map(|(name, model)| self::model(name, model, &config, &houses)).collect();
    let llm = Arc::new(Llm::new(models, *config.llm_proxy.wait_max));
    let service = LlmServiceServer::new(Grpc::new(llm, host.stop()))
        .max_decoding_message_size(config.llm_proxy.request_bytes_max.bytes())
        .max_encoding_message_size(config.llm_proxy.answer_bytes_max.bytes() * 2);
    let served = host.serve(Routes::new(service)).await;
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
    let limits = provider.keys.iter().map(|key| (key.name.clone(), limits(key, *provider.window))).collect();
    let gate = Gate::open(dir, name, limits, order, clock.clone(), Gauges::new(name))
        .map_err(|error| ServeError::Data { path: dir.into(), why: error.to_string() })?;
    let keys = provider.keys.iter().map(|key| NamedKey {
        name: key.name.clone(),
        // The simulator knows its keys by their names: there is nothing to hide.
        key: key.key.clone().or_else(|| simulated.then(|| Secret::in_memory(key.name.as_str()))),
    });
    Ok(House {
        name: name.to_owned(),
        simulated,
        provider: upstream(name, provider, (base_url, simulated), authority, config)?,
        gate,
        keys: keys.collect(),
        cooldown: *provider.cooldown,
        quarantine: *provider.quarantine,
    })
}

fn limits(key: &config::Key, window: Duration) -> Limits {
    Limits { own: key.limits(), models: key.models.clone(), window }
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
    };
    let version = provider.api_version.as_deref();
    let opened: Result<Box<dyn Provider>, String> = match provider.kind {
        Kind::OpenAi => OpenAi::open(settings).map(|provider| Box::new(provider) as _),
        Kind::Azure => OpenAi::azure(version.unwrap_or_default(), settings).map(|provider| Box::new(provider) as _),
        Kind::Anthropic => Anthropic::open(version, settings).map(|provider| Box::new(provider) as _),
    };
    opened.map_err(|why| ServeError::other(format!("providers.{name}: {why}")))
}

fn model(name: &str, model: &config::Model, config: &Config, houses: &BTreeMap<&str, Arc<House>>) -> Model {
    let deployments = model.deployments.iter().map(|deployment| {
        let name = format!("{}/{}", deployment.provider, deployment.model);
        let house = houses[deployment.provider.as_str()].clone();
        Deployment {
            upstream: deployment.model.clone(),
            lane: house.gate.lane(&deployment.model),
            house,
            breaker: breaker(&name, &config.providers[&deployment.provider].breaker),
            name,
        }
    });
    Model {
        name: name.to_owned(),
        deployments: deployments.collect(),
        max_output_tokens: model.max_output_tokens,
        fallback: model.fallback.as_ref().map(|fallback| fallback.answer.clone()),
    }
}

fn breaker(deployment: &str, settings: &config::Breaker) -> Breaker {
    let name = deployment.to_owned();
    metrics::circuit(&name, false);
    Breaker::with_listener(settings.settings(), move |circuit| {
        metrics::circuit(&name, circuit.state != State::Closed);
        tracing::warn!(deployment = name, state = ?circuit.state, reason = %circuit.reason, "a circuit changed");
    })
}
