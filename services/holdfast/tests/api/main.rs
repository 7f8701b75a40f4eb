//! The executable as its users meet it: what it prints, and how it ends.

mod check;
mod circuits;
mod client;
mod deploy;
mod harness;
mod pages;
mod standin;
mod state;
mod tools;
mod top;
mod up;
