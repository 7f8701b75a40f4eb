//! `/v1`: OpenAI's API for whoever speaks it. The official clients themselves are in the tests of the whole mesh.

mod answers;
mod bounds;
mod client;
mod errors;
mod keys;
mod streams;
mod traced;
mod translated;
