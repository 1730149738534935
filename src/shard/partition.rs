//! One partition of a shard: its log, its files, and what is told of it.

use super::inbox::{Phase, Status, Tally};
use crate::io::Disk;
use crate::log::{Log, Recovered, Store};
use crate::model::{Instant, Offset, ProducerIdShift, TopicPartition};
use crate::source::{EpochEnd, Progress};

/// A partition that is being mirrored, or was until it stopped.
pub(super) struct Partition<D: Disk> {
    pub(super) id: TopicPartition,
    pub(super) log: Log,
    pub(super) store: Store<D>,
    pub(super) phase: Phase,
    pub(super) tally: Tally,
    pub(super) durable: Offset,
    pub(super) gaps: Vec<(Offset, Offset)>,
    pub(super) recovered: Recovered,
    /// What is added to the producer ids of its batches before they are stored.
    pub(super) producer_id_shift: ProducerIdShift,
    /// The copy ends once it has all that was there at the beginning.
    pub(super) is_to_end: bool,
    /// Since when it fails and is tried again.
    pub(super) waiting_since: Option<Instant>,
    /// When it was last said that it waits.
    pub(super) said_at: Option<Instant>,
    /// What was wrong with the answer that is being taken in.
    pub(super) suspicion: Option<String>,
    /// The oldest append that no sync point covers.
    pub(super) dirty_since: Option<Instant>,
    /// What a sync point needs could not be written.
    pub(super) is_unflushed: bool,
    /// A sync point of it is being synced.
    pub(super) is_syncing: bool,
    /// Everything that was asked for is in the log; durable comes next.
    pub(super) is_complete: bool,
    /// A write or sync has failed: what the files hold is not known any more.
    pub(super) is_broken: bool,
}

impl<D: Disk> Partition<D> {
    pub(super) fn status(&self, progress: Option<Progress>) -> Status {
        let marks = self.log.watermarks();
        Status {
            id: self.id.clone(),
            phase: self.phase.clone(),
            tally: self.tally,
            log_start: marks.log_start,
            log_end: marks.log_end,
            durable: self.durable,
            high_watermark: progress.and_then(|progress| progress.high_watermark),
            gaps: self.gaps.clone(),
            recovered: self.recovered,
            source_epoch: self.log.last_epoch(),
            largest_producer_id: self.log.largest_producer_id(),
        }
    }

    /// The largest epoch of our log not above `epoch`, and where it ends.
    pub(super) fn held(&self, epoch: crate::model::LeaderEpoch) -> Option<EpochEnd> {
        let end = self.log.watermarks().log_end;
        let (epoch, end) = self.log.epochs().end_of(epoch, end)?;
        Some(EpochEnd { epoch, end })
    }

    /// Nothing more will come of it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Stopped(_))
    }

    pub(super) fn end(&self) -> Offset {
        self.log.watermarks().log_end
    }
}
