//! What may be set about a shard's work.

use crate::source;

/// How a shard receives, appends and syncs. Built by `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How the source is asked.
    pub source: source::Options,
    /// Bytes of the receive window of one connection; a batch that is larger gets a larger one
    /// for as long as it is on its way.
    pub window_bytes: u32,
    /// How long a fetch answer may be late, or go on without bringing more than a few bytes,
    /// until its connection is given up, in milliseconds.
    pub answer_timeout_ms: u32,
    /// How long a copy that is to end goes on with a partition that fails again and again, in
    /// milliseconds.
    pub patience_ms: u32,
    /// A partition's log is synced when so many bytes were appended since the last sync.
    pub flush_bytes: u64,
    /// A partition's log is synced when its oldest append is so many milliseconds old.
    pub flush_interval_ms: u32,
    /// How often it is looked for what retention takes from logs that we lead, in milliseconds.
    /// Files go one interval later than their records.
    pub retention_interval_ms: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            source: source::Options::default(),
            window_bytes: 1 << 20,
            answer_timeout_ms: 30_000,
            patience_ms: 120_000,
            flush_bytes: 256 << 20,
            flush_interval_ms: 5_000,
            retention_interval_ms: 60_000,
        }
    }
}
