//! A service as a process: from its configuration to its drain.

mod error;
mod host;
mod idle;
mod pages;
mod routes;

use std::{io::Read as _, path::PathBuf, process::ExitCode};

use clap::Parser;
use futures::future::BoxFuture;
use holdfast_config::{Common, ConfigError, Document, Peer};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

pub use error::ServeError;
pub use host::Host;
pub(crate) use idle::stir;
/// The allocator of every service's executable: a call makes many small short-lived pieces, and the system's allocator
/// spends a fifth of a gateway's time on them.
pub use mimalloc::MiMalloc as Allocator;
pub use pages::start_program;
pub use routes::{Nothing, Routes};
/// Tells everything in a process to end. Streams watch it.
pub use tokio_util::sync::CancellationToken as Stop;

/// Set (to anything) for a process that ends when its standard input does: how the children of `holdfast up` notice that
/// it died, even by SIGKILL.
pub const PARENT_PIPE: &str = "HOLDFAST_PARENT_PIPE";

/// The configuration file that is read where none is named.
pub const DEFAULT_FILE: &str = "holdfast.toml";

/// A service's own part of the configuration.
pub trait Settings: Sized {
    /// Takes its sections out of a document and checks them against each other.
    ///
    /// # Errors
    /// The first key that does not hold.
    fn from_document(document: &Document) -> Result<Self, ConfigError>;

    /// Where the service listens, as `HOST:PORT`.
    fn address(&self) -> &str;
}

/// A service at work, until its host is told to stop. Boxed, so that it is compiled in its own crate, once, and not again by
/// each executable and each test that runs it.
pub type Serving = BoxFuture<'static, Result<(), ServeError>>;

#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration; holdfast.toml in the working directory where there is one, else the defaults.
    #[arg(long, env = "HOLDFAST_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The whole `main` of a service that ships alone.
pub fn main<C: Settings>(peer: Peer, serve: fn(Common, C, Host) -> Serving) -> ExitCode {
    let arguments = Arguments::parse();
    let file = arguments.config.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
    let document = match file {
        Some(path) => Document::load(&path),
        None => Document::parse("the defaults", "", std::env::vars()),
    };
    match document {
        Ok(document) => run(peer, &document, serve),
        Err(error) => complain(peer, &error.into()),
    }
}

/// Runs a service until SIGTERM, SIGINT, or the end of its parent; then drains it. A second signal ends it at once.
pub fn run<C: Settings>(peer: Peer, document: &Document, serve: fn(Common, C, Host) -> Serving) -> ExitCode {
    pages::keep_to_small();
    match start::<C>(document).and_then(|(common, settings)| {
        // One thread a service: the stores have threads of their own, and small services are a quarter faster so.
        let runtime = idle::runtime(*common.mesh.busy_poll)?;
        runtime.block_on(live(peer, common, settings, serve))
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(peer, &error),
    }
}

fn start<C: Settings>(document: &Document) -> Result<(Common, C), ServeError> {
    Ok((Common::from_document(document)?, C::from_document(document)?))
}

async fn live<C: Settings>(
    peer: Peer,
    common: Common,
    settings: C,
    serve: fn(Common, C, Host) -> Serving,
) -> Result<(), ServeError> {
    let telemetry = holdfast_telemetry::init(peer.name(), &common.telemetry, Some(&common.data.dir.join("spans")))?;
    let host = Host::bind(peer.name(), settings.address(), &common).await?;
    watch_signals(host.stop())?;
    watch_parent(host.stop());
    info!(service = peer.name(), address = %host.address(), "listening");
    let served = serve(common, settings, host).await;
    info!(service = peer.name(), "stopped");
    telemetry.shutdown().await;
    served
}

fn watch_signals(stop: Stop) -> std::io::Result<()> {
    // A file that may not grow any more is an error like a full disk, not the end: with a handler of our own the write
    // says so, instead of the system ending the process.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        // The end of the parent drains too, and often comes just before the first signal: only signals count here.
        let mut asked = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked {
                std::process::exit(1);
            }
            asked = true;
            info!("draining");
            stop.cancel();
        }
    });
    Ok(())
}

fn watch_parent(stop: Stop) {
    if std::env::var_os(PARENT_PIPE).is_none() {
        return;
    }
    std::thread::spawn(move || {
        // Nothing is ever written to it: the read ends when the parent does.
        let _ = std::io::stdin().read(&mut [0; 1]);
        stop.cancel();
    });
}

fn complain(peer: Peer, failure: &ServeError) -> ExitCode {
    error!(service = peer.name(), error = %failure, "the service did not start or broke");
    eprintln!("holdfast {}: {failure}", peer.name());
    ExitCode::from(failure.exit_code())
}
