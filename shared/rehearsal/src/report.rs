//! The report: one HTML file that needs nothing else, neither a network nor a script.
//!
//! Rust decides what is said and where each line runs; how it looks stands in templates beside this file, as the HTML and
//! CSS that they are. Whatever came from outside goes through the templates' escaping: nothing here writes markup.

mod figures;
mod numbers;
mod page;
mod plot;
mod sentences;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use askama::Template;

use crate::Outcome;
use page::Page;

/// Writes the report of a rehearsal.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(outcome: &Outcome, path: &Path) -> io::Result<()> {
    std::fs::write(path, render(outcome)?)
}

/// The report as text.
///
/// # Errors
/// Never with the templates as they are: they only fail where a value in them does.
pub fn render(outcome: &Outcome) -> io::Result<String> {
    Page::of(outcome).render().map_err(io::Error::other)
}
