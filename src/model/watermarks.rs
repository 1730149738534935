//! The four watermarks of a log, moved together and checked at every move.

use super::Offset;

/// Log start ≤ last stable ≤ high watermark ≤ log end: Kafka's meaning, no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that may be read.
    pub log_start: Offset,
    /// The first offset of the oldest open transaction, or the high watermark.
    pub last_stable: Offset,
    /// Below it every record is held by enough replicas to be visible.
    pub high_watermark: Offset,
    /// The offset that the next record will get, or more where the source leaves a gap.
    pub log_end: Offset,
}

impl Watermarks {
    /// An empty log that begins at `start`.
    #[must_use]
    pub fn empty_at(start: Offset) -> Watermarks {
        Watermarks {
            log_start: start,
            last_stable: start,
            high_watermark: start,
            log_end: start,
        }
    }

    /// Stops the process where the order is broken: only a mistake of ours can break it.
    pub fn assert_invariants(&self) {
        assert!(
            self.log_start <= self.last_stable
                && self.last_stable <= self.high_watermark
                && self.high_watermark <= self.log_end,
            "watermarks out of order: {self:?}"
        );
    }
}
