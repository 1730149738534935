//! Text to checked options: every key declared once, all errors of a file at once.

mod document;
mod fault;
mod keys;
mod parse;
#[cfg(test)]
mod tests;

pub use document::document;
pub use fault::{Fault, Wrong};

use crate::{control, shard};

/// What may be set about every folder; the source's options stand in `shard.source`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// How a shard fetches, receives, appends and syncs.
    pub shard: shard::Options,
    /// How often the control plane looks and how long it waits.
    pub control: control::Options,
}

impl Config {
    /// Reads TOML text. What it does not mention keeps its default; what comes back keeps every
    /// promise that the options' owners rely on.
    ///
    /// # Errors
    ///
    /// All that is wrong, in the order of the lines. Text that is not TOML has one fault.
    pub fn parse(text: &str) -> Result<Config, Vec<Fault>> {
        parse::parse(text)
    }
}
