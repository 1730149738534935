//! What may be set about the control plane.

use crate::model::ProducerIdShift;

/// How often it looks and how long it waits. Built by `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often topics, partitions and leaders are asked for, in milliseconds.
    pub metadata_interval_ms: u32,
    /// How long a request of control's may take before its connection is given up, in
    /// milliseconds.
    pub request_timeout_ms: u32,
    /// How often the vault's checkpoints and state are written, in milliseconds.
    pub checkpoint_interval_ms: u32,
    /// What is added to the producer ids of all batches.
    pub producer_id_shift: ProducerIdShift,
    /// What becomes of what the source has lost after it was copied.
    pub source_loss: SourceLoss,
}

/// What becomes of records here that the source has lost since (an unclean leader election).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceLoss {
    /// They stay, and their partition stops.
    Stop,
    /// They are set aside beside the vault and cut off, and their partition goes on.
    SetAside,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            metadata_interval_ms: 5_000,
            request_timeout_ms: 30_000,
            checkpoint_interval_ms: 5_000,
            producer_id_shift: ProducerIdShift::NONE,
            source_loss: SourceLoss::Stop,
        }
    }
}
