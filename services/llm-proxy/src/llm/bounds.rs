//! What a call may ask for, at either door: what no model can give is refused before anybody waits for it.

use holdfast_rpc::Error;

use crate::{
    domain::{ANSWERS_MAX, Ask, answers_by},
    model::Model,
};

/// The longest answer that can be asked for where no context is known. No model has more.
const ANSWER_MAX: u64 = 1_000_000;

/// # Errors
/// INVALID_ARGUMENT, by the field.
pub(super) fn check(model: &Model, ask: &Ask) -> Result<(), Error> {
    for name in ["n", "best_of"] {
        if answers_by(&ask.fields, name).is_none() {
            return Err(Error::invalid(name, format!("must be a whole number from 1 to {ANSWERS_MAX}")));
        }
    }
    let contexts = model.deployments.iter().map(|deployment| deployment.context_tokens.unwrap_or(ANSWER_MAX));
    let most = contexts.max().unwrap_or(ANSWER_MAX);
    if ask.max_output_tokens.is_some_and(|tokens| u64::from(tokens) > most) {
        return Err(Error::invalid(ask.limited_by, format!("is more than {} can write: {most} tokens", model.name)));
    }
    Ok(())
}
