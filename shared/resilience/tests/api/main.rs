//! The promises of the cores against plain models, and of the wrappers under concurrency.

mod breaker_concurrency;
mod breaker_model;
mod bucket_model;
mod layer;
