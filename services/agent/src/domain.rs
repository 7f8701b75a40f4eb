//! What the loop decides, without doing it.

pub(crate) mod answer;
pub(crate) mod conversation;
pub(crate) mod envelope;
pub(crate) mod limits;
