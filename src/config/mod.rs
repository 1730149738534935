//! Text to checked options: every key declared once, all errors of a file at once.

mod document;
mod fault;
mod key;
mod keys;
mod mirrors;
mod parse;
mod relations;
#[cfg(test)]
mod tests;

pub use document::document;
pub use fault::{Fault, Wrong};

use crate::mirror::MirrorSettings;
use crate::{control, kraft, shard};

/// What may be set about every folder; the source's options stand in `shard.source`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// How a shard fetches, receives, appends and syncs.
    pub shard: shard::Options,
    /// How often the control plane looks and how long it waits.
    pub control: control::Options,
    /// How a member keeps in touch with its controllers.
    pub kraft: kraft::Options,
    /// What a node is.
    pub node: control::NodeOptions,
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

    /// How the shards of a mirror fetch, receive, append and sync: as all do, but for what is set
    /// about the mirror. Where its settings contradict each other or ours, the narrower counts.
    #[must_use]
    pub fn shard_of(&self, mirror: &MirrorSettings) -> shard::Options {
        let mut shard = self.shard.clone();
        let source = &mut shard.source;
        let set = |option: &mut u32, setting: Option<u32>| *option = setting.unwrap_or(*option);
        set(&mut source.fetch_bytes_max, mirror.fetch_response_max_bytes);
        set(
            &mut source.partition_fetch_bytes_max,
            mirror.fetch_max_bytes,
        );
        set(&mut source.fetch_min_bytes, mirror.fetch_min_bytes);
        set(&mut source.fetch_wait_ms, mirror.fetch_wait_max_ms);
        set(&mut source.retry_backoff_ms, mirror.fetch_backoff_ms);
        let narrowed = |option: &mut u32, most: u32| *option = most.min(*option);
        narrowed(
            &mut source.partition_fetch_bytes_max,
            source.batch_bytes_max,
        );
        narrowed(&mut source.fetch_min_bytes, source.fetch_bytes_max);
        narrowed(&mut source.retry_backoff_ms, source.retry_backoff_max_ms);
        shard
    }

    /// How control looks at the source of a mirror, likewise.
    #[must_use]
    pub fn control_of(&self, mirror: &MirrorSettings) -> control::Options {
        let own = &self.control;
        control::Options {
            request_timeout_ms: mirror.request_timeout_ms.unwrap_or(own.request_timeout_ms),
            ..own.clone()
        }
    }
}
