//! The promises of the cores against plain models, and of the wrappers under concurrency.

mod breaker_concurrency;
mod breaker_model;
mod breaker_promises;
mod breaker_schedules;
mod breaker_sharing;
mod bucket_model;
mod half_open;
mod layer;
