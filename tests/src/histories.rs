//! What clients saw of records, judged: whether one order of all calls explains every answer.

pub mod linear;
pub mod record;
