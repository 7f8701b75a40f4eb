//! A call by which a circuit looks whether its deployment is well again.
//!
//! A circuit on its way back lets only its probes through, and callers who ask several models at once give up all of them
//! when one is refused. Did their probes end with them, nobody would ever hear the answer of a deployment that is slower than
//! that. So a probe goes on without its caller where its circuit still wants to know, to the answer or the provider's own
//! timeouts. There are never more such calls than probes; all others end at the provider when their callers go.

use std::sync::Arc;

use futures::future::BoxFuture;
use holdfast_rpc::Error;
use tokio::sync::oneshot;
use tracing::{Instrument as _, Span};

use super::flight::Flight;
use crate::{
    domain::Ask,
    model::Deployment,
    provider::{Call, Failure},
};

/// What the deployment said, and the call that it answers.
pub(super) type Heard<T> = (Flight, Result<T, Failure>);

/// Calls a deployment, and waits for what it says.
///
/// # Errors
/// The task was lost.
pub(super) async fn ask<T: Send + 'static>(
    flight: Flight,
    ask: &Ask,
    max_output_tokens: Option<u32>,
    call: impl for<'c> Fn(&'c Deployment, Call<'c>) -> BoxFuture<'c, Result<T, Failure>> + Send + 'static,
) -> Result<Heard<T>, Error> {
    let (caller, heard) = oneshot::channel();
    tokio::spawn(probe(flight, (ask.clone(), max_output_tokens), call, caller, Span::current()));
    heard.await.map_err(|_| Error::internal("a probe lost its task"))
}

async fn probe<T>(
    mut flight: Flight,
    (ask, max_output_tokens): (Ask, Option<u32>),
    call: impl for<'c> Fn(&'c Deployment, Call<'c>) -> BoxFuture<'c, Result<T, Failure>>,
    mut caller: oneshot::Sender<Heard<T>>,
    span: Span,
) {
    let (deployment, key, arrival) = (Arc::clone(flight.deployment()), Arc::clone(flight.key()), flight.arrival());
    let model = &deployment.upstream;
    let mut asked = call(&deployment, Call { ask: &ask, model, max_output_tokens, key: key.key.as_ref(), arrival });
    let attended = async {
        tokio::select! {
            biased;
            heard = &mut asked => Some(heard),
            () = caller.closed() => None,
        }
    };
    // The caller's span ends with the caller.
    let heard = match attended.instrument(span).await {
        Some(heard) => heard,
        None if flight.orphan() => asked.await,
        None => return,
    };
    if heard.is_ok() {
        flight.answers();
    }
    if let Err((flight, Err(failure))) = caller.send((flight, heard)) {
        flight.failed(&alone(failure));
    }
}

/// What is forbidden may be for what was said as well as for the key, and nobody is there to try another one.
fn alone(failure: Failure) -> Failure {
    match failure {
        Failure::Forbidden { message } => Failure::Doubtful { message },
        failure => failure,
    }
}
