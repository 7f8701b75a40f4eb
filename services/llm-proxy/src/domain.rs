//! Pure decisions: who may call a provider, with which key, and when. No clock, no runtime, no I/O; `now` is the time since
//! any fixed origin, and never runs backwards.

mod budget;
mod chat;
mod estimate;
mod forecast;
mod key;
mod line;
mod meter;
mod pool;
mod stock;
mod tokens;

pub(crate) use budget::{Budget, Day, Kept, Reservation, Short, Spent};
pub(crate) use chat::{ANSWERS_MAX, Answer, Ask, Chunk, Fields, Finish, Form, Part, ToolCall, Usage, answers_by};
pub(crate) use estimate::{Estimate, Estimator};
pub(crate) use key::{DailyUse, Days, ENDING_MAX, Ending, Limits, Past, Record, State, TRANSIT_MAX};
pub(crate) use line::{Bounds, Ticket};
pub(crate) use meter::Kind;
pub(crate) use pool::{
    Asked, Capacity, Decision, Grant, KeyCapacity, KeyId, Lane, LimitCapacity, LineCapacity, Need, NewKey, Pool,
    Refusal, Shares, Want, Why,
};
pub(crate) use stock::{Counted, Granted, Report, Stock};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
