//! The gateway that the client commands speak to.

use std::time::Duration;

use holdfast_config::{ConfigError, Document, Mesh, Secret};
use holdfast_rpc::Channel;
use holdfast_sdk::{Client, Endpoints, Error};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Uri;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::cli::Global;
use crate::exit::Failure;
use crate::source::{Overrides, Source};
use crate::up::plan;

/// A gateway that takes no connection within this long counts as unreachable.
const REACH_WITHIN: Duration = Duration::from_secs(3);

/// A command that does not wait for an invocation's end is answered, retries included, within this long.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The variable that holds a key where `--api-key` names none.
const KEY_VARIABLE: &str = "HOLDFAST_API_KEY";

/// Where the gateway is, and how we are known there.
pub(crate) struct Gateway {
    address: String,
    key: Option<Secret>,
    authority: Option<Secret>,
}

/// The part of `[mesh]` that a caller needs: the rest may be none of its business, and its secrets unreadable.
#[derive(Debug, Default, Deserialize)]
struct MeshPart {
    gateway: Option<String>,
}

/// The part of `[tls]` that a caller needs.
#[derive(Debug, Default, Deserialize)]
struct TlsPart {
    authority: Option<Secret>,
    /// A reference: whoever calls need not be able to read it.
    certificate: Option<String>,
}

/// The gateway that the command line or the configuration names.
pub(crate) fn find(global: &Global) -> Result<Gateway, Failure> {
    let key = match (&global.api_key, std::env::var_os(KEY_VARIABLE)) {
        (Some(reference), _) => Some(reference.clone()),
        (None, Some(_)) => Some(format!("env:{KEY_VARIABLE}")),
        (None, None) => None,
    };
    let key = key.map(|reference| Secret::resolve(&reference)).transpose();
    let key = key.map_err(|why| Failure::Usage(format!("--api-key: {why}")))?;
    // An address on the command line stands for itself, unless a file is named beside it.
    let document = match (&global.address, &global.config) {
        (Some(_), None) => None,
        _ => Some(Source::find(global.config.as_deref()).load(&Overrides::new())?),
    };
    let (configured, authority) = document.as_ref().map(parts).transpose()?.unwrap_or_default();
    let address = global.address.clone().or(configured).unwrap_or_else(|| Mesh::default().gateway);
    Ok(Gateway { address, key, authority })
}

fn parts(document: &Document) -> Result<(Option<String>, Option<Secret>), ConfigError> {
    let mesh: MeshPart = document.section("mesh")?;
    let tls: TlsPart = document.section("tls")?;
    // As inside of the mesh: without an authority the certificate itself is trusted.
    let itself = || tls.certificate.and_then(|reference| Secret::resolve(&reference).ok());
    Ok((mesh.gateway, tls.authority.or_else(itself)))
}

impl Gateway {
    /// A client, once somebody answers at the address: a mesh that is not there is told at once, not retried.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let mut endpoints = Endpoints::gateway(&self.address).api_key(self.key_text());
        if let Some(authority) = self.authority() {
            endpoints = endpoints.authority(authority);
        }
        let client = Client::over(&endpoints).map_err(usage)?.timeout(ANSWER_WITHIN);
        self.reach().await?;
        Ok(client)
    }

    /// A channel to all of the addresses, whether anybody answers or not.
    pub(crate) fn lazy_channel(&self) -> Result<Channel, Failure> {
        let key = self.key.as_ref().map(|key| key.reveal());
        let addresses: Vec<_> = self.addresses().collect();
        let channel = Channel::connect_any("gateway", &addresses, key, self.authority());
        channel.map_err(|error| Failure::Usage(error.to_string()))
    }

    /// What certificates must come from (PEM), where the configuration says.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.authority.as_ref().map(|authority| authority.reveal())
    }

    /// The same on another port.
    pub(crate) fn on_port(self, port: u16) -> Self {
        let moved = self.addresses().map(|address| plan::with_port(address, port)).collect::<Vec<_>>().join(",");
        Self { address: moved, ..self }
    }

    async fn reach(&self) -> Result<(), Failure> {
        let mut why = "no address".to_owned();
        for address in self.addresses() {
            match self.answers(address).await {
                Ok(()) => return Ok(()),
                Err(error) => why = error,
            }
        }
        Err(Failure::Unreachable { address: self.address.clone(), why })
    }

    /// Whether somebody takes the connection, and then speaks as a gateway does.
    async fn answers(&self, address: &str) -> Result<(), String> {
        connect(address).await?;
        let channel =
            Channel::connect("gateway", address, None, self.authority()).map_err(|error| error.to_string())?;
        let mut health = HealthClient::new(channel);
        let asked = health.check(HealthCheckRequest { service: String::new() });
        match timeout(REACH_WITHIN, asked).await {
            Ok(Err(status)) if status.code() == Code::Unavailable => {
                Err("it takes the connection, and breaks it (is it https, with an authority that we know?)".into())
            }
            Ok(_) => Ok(()),
            Err(_) => Err(format!("it takes the connection, and says nothing within {REACH_WITHIN:?}")),
        }
    }

    /// The first of its addresses.
    pub(super) fn first_address(&self) -> String {
        self.addresses().next().unwrap_or_default().to_owned()
    }

    /// Its addresses, any of which will do.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.address.split(',').map(str::trim)
    }

    /// What is shown to it; empty where there is no key.
    pub(super) fn key_text(&self) -> &str {
        self.key.as_ref().map_or("", |key| key.reveal())
    }
}

async fn connect(address: &str) -> Result<(), String> {
    let uri: Uri = address.parse().map_err(|error| format!("it is not a URL ({error})"))?;
    let host = uri.host().ok_or("it is not a URL")?.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    match timeout(REACH_WITHIN, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {REACH_WITHIN:?}")),
    }
}

/// What is malformed came from the command line.
fn usage(error: Error) -> Failure {
    match error {
        Error::Invalid(why) => Failure::Usage(why),
        other => Failure::Refused(other),
    }
}
