use std::{net::SocketAddr, sync::Arc};

use axum::{Json, http::StatusCode, response::IntoResponse, routing::get};
use holdfast_config::{Common, Tls};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use super::{Routes, ServeError, Stop};
use crate::{
    caller::{Authenticate, MeshAuth},
    keys::Keys,
    lease::LeaseKey,
    server::{self, Inner, Limits},
    web::{self, Door, Paths, Refusal},
};

/// What a service stands on: its bound socket, its stop signal, and what all services have in common.
#[derive(Debug)]
pub struct Host {
    name: &'static str,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    auth: MeshAuth,
    lease_key: LeaseKey,
    limits: Limits,
    stop: Stop,
    web: Vec<(&'static str, Refusal, axum::Router)>,
    keys: Option<Keys>,
}

impl Host {
    /// Binds the socket before anything else is done, so that a port in use is told at once.
    ///
    /// # Errors
    /// The address is taken or is no address; it is not loopback and TLS, the mesh credential or the lease key is
    /// missing; the data directory cannot be used.
    pub async fn bind(name: &'static str, address: &str, common: &Common) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Bind { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        if !bound.ip().is_loopback() {
            let missing = match (&common.tls, &common.mesh.credential, &common.mesh.lease_key) {
                (None, ..) => Some("a [tls] section"),
                (_, None, _) => Some("mesh.credential"),
                // Services on directories of their own would mint keys of their own, and no lease would be known.
                (.., None) => Some("mesh.lease_key"),
                _ => None,
            };
            if let Some(missing) = missing {
                return Err(ServeError::Insecure { address: address.to_owned(), missing });
            }
        }
        let lease_key = LeaseKey::load(common)
            .map_err(|error| ServeError::Data { path: common.data.dir.clone(), why: error.to_string() })?;
        Ok(Self {
            name,
            listener,
            address: bound,
            tls: common.tls.clone(),
            auth: MeshAuth::new(common.mesh.credential.as_ref(), lease_key.clone()),
            lease_key,
            limits: Limits::default(),
            stop: Stop::new(),
            web: Vec::new(),
            keys: None,
        })
    }

    /// The bound address, with the port that the system chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether only this machine can connect.
    pub fn is_loopback(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// Ends the service when it is cancelled.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// The key that signs and checks lease tokens.
    pub fn lease_key(&self) -> LeaseKey {
        self.lease_key.clone()
    }

    /// Bounds other than the default ones.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Serves these routes over plain HTTP (1.1 and 2) too, on the same port and under the same bounds as gRPC. All their
    /// paths stand under the prefix, by which they are counted.
    #[must_use]
    pub fn with_web(self, prefix: &'static str, routes: axum::Router) -> Self {
        self.with_web_as(prefix, routes, web::refuse)
    }

    /// The same for clients that expect errors in words of their own, those of the stack around the routes included.
    #[must_use]
    pub fn with_web_as(mut self, prefix: &'static str, routes: axum::Router, refusal: Refusal) -> Self {
        self.web.push((prefix, refusal, routes));
        self
    }

    /// Lets owners of these keys come to the routes over plain HTTP, and nobody else but the mesh. Without keys the mesh's
    /// own rule holds there as everywhere: its credential, or anybody on loopback.
    #[must_use]
    pub fn with_keys(self, keys: Option<Keys>) -> Self {
        Self { keys, ..self }
    }

    /// Serves a service of the mesh until it is told to stop.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn serve<S: Inner>(self, routes: Routes<S>) -> Result<(), ServeError> {
        let (host, auth) = self.split();
        host.serve_for(routes, Arc::new(auth)).await
    }

    /// Serves with another way of finding out who calls: the gateway's.
    ///
    /// # Errors
    /// The listener broke, or the certificate cannot be used.
    pub async fn serve_as<S: Inner>(self, routes: Routes<S>, auth: Arc<dyn Authenticate>) -> Result<(), ServeError> {
        self.split().0.serve_for(routes, auth).await
    }

    fn split(self) -> (Socket, Door) {
        let reflection = self.is_loopback();
        let Self { name, listener, tls, auth, limits, stop, web, keys, .. } = self;
        let paths = Paths::new(web.iter().map(|(prefix, refusal, _)| (*prefix, *refusal)));
        let routers = web.into_iter().map(|(.., routes)| routes).collect();
        let door = Door::new(auth, keys, paths.clone());
        (Socket { name, listener, tls, limits, stop, reflection, paths, routers }, door)
    }
}

struct Socket {
    name: &'static str,
    listener: TcpListener,
    tls: Option<Tls>,
    limits: Limits,
    stop: Stop,
    reflection: bool,
    /// What is served over plain HTTP, and where.
    paths: Paths,
    routers: Vec<axum::Router>,
}

impl Socket {
    async fn serve_for<S: Inner>(mut self, routes: Routes<S>, auth: Arc<dyn Authenticate>) -> Result<(), ServeError> {
        server::describe();
        let tls = self.tls.as_ref().map(acceptor).transpose()?;
        let standing = self.standing_routes()?;
        let routers = std::mem::take(&mut self.routers);
        let routes = routes.route(|own| routers.into_iter().fold(own.merge(standing), axum::Router::merge));
        let service = server::stack(routes, self.paths, auth, self.limits.in_flight_max);
        Ok(server::serve(self.listener, tls, service, self.limits, self.stop).await?)
    }

    /// Health (gRPC and HTTP), metrics, and, on loopback, reflection.
    fn standing_routes(&self) -> Result<axum::Router, ServeError> {
        let (reporter, health) = tonic_health::server::health_reporter();
        let mut routes = tonic::service::Routes::from(axum::Router::new()).add_service(health);
        if self.reflection {
            let reflection = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(holdfast_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .build_v1()
                .map_err(ServeError::other)?;
            routes = routes.add_service(reflection);
        }
        let (name, stop) = (self.name, self.stop.clone());
        let healthz = get(async move || {
            let (code, status) = if stop.is_cancelled() {
                (StatusCode::SERVICE_UNAVAILABLE, "draining")
            } else {
                (StatusCode::OK, "serving")
            };
            (code, Json(serde_json::json!({"service": name, "status": status}))).into_response()
        });
        let stop = self.stop.clone();
        tokio::spawn(async move {
            stop.cancelled().await;
            reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        });
        let metrics = get(async || holdfast_telemetry::metrics::render());
        Ok(routes.into_axum_router().route("/healthz", healthz).route("/metrics", metrics))
    }
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ServeError> {
    let pem = |secret: &Option<holdfast_config::Secret>, key: &str| {
        secret.clone().ok_or_else(|| ServeError::Tls(format!("tls.{key} is missing: write {key} = \"file:PATH\"")))
    };
    let bad = |key: &str, why: &dyn std::fmt::Display| ServeError::Tls(format!("tls.{key} is not usable PEM: {why}"));
    let chain = CertificateDer::pem_slice_iter(pem(&tls.certificate, "certificate")?.reveal().as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad("certificate", &error))?;
    let key =
        PrivateKeyDer::from_pem_slice(pem(&tls.key, "key")?.reveal().as_bytes()).map_err(|error| bad("key", &error))?;
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| ServeError::Tls(format!("tls.certificate and tls.key do not fit: {error}")))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
