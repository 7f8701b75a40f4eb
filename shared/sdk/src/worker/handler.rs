//! Handlers of every type behind one.

use std::{future::Future, sync::Arc};

use futures::future::BoxFuture;
use serde_json::Value as Json;

use crate::{Context, Failure, Output};

pub(crate) trait Handler: Send + Sync {
    fn handle(&self, context: Context, input: Json) -> BoxFuture<'static, Result<Output, Failure>>;
}

struct Closure<F>(F);

impl<F, Fut, O> Handler for Closure<F>
where
    F: Fn(Context, Json) -> Fut + Send + Sync,
    Fut: Future<Output = Result<O, Failure>> + Send + 'static,
    O: Into<Output>,
{
    fn handle(&self, context: Context, input: Json) -> BoxFuture<'static, Result<Output, Failure>> {
        let running = (self.0)(context, input);
        Box::pin(async { running.await.map(Into::into) })
    }
}

pub(crate) fn of<F, Fut, O>(handler: F) -> Arc<dyn Handler>
where
    F: Fn(Context, Json) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Failure>> + Send + 'static,
    O: Into<Output> + 'static,
{
    Arc::new(Closure(handler))
}
