use holdfast_config::{Common, ConfigError, Document};
use holdfast_rpc::{
    Caller, Error, Role,
    caller::{Authenticate, DEFAULT_TENANT},
    service::{Host, Routes, ServeError, Serving, Settings},
};

use crate::{Config, Simulator};

/// Serves the simulated provider and tools until the host is told to stop.
///
/// # Errors
/// The listener broke.
pub fn serve(_: Common, config: Config, host: Host) -> Serving {
    Box::pin(run(config, host))
}

async fn run(config: Config, host: Host) -> Result<(), ServeError> {
    let simulator = Simulator::new(&config);
    tracing::warn!("models and tools here are simulated: nothing that they say or do is real");
    let routes = Routes::default().route(|_| simulator.router());
    host.serve_as(routes, std::sync::Arc::new(OutsideWorld)).await
}

impl Settings for Config {
    fn from_document(document: &Document) -> Result<Self, ConfigError> {
        let config: Self = document.section("simulator")?;
        config.validate().map_err(|invalid| document.locate(invalid))?;
        Ok(config)
    }

    fn address(&self) -> &str {
        &self.address
    }
}

/// The simulator stands for the world outside: it knows no callers of the mesh, and looks at API keys by itself.
#[derive(Debug)]
struct OutsideWorld;

impl Authenticate for OutsideWorld {
    fn authenticate(&self, _: &str, _: &axum::http::HeaderMap) -> Result<Caller, Error> {
        Ok(Caller::of_tenant(DEFAULT_TENANT, Role::Caller, "anybody"))
    }
}
