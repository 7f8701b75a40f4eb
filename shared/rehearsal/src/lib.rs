#![doc = include_str!("../README.md")]

pub mod outcome;

pub use outcome::Outcome;
