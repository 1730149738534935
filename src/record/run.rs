//! Batches in a row that have passed every check, as one run of bytes.

use zerocopy::FromBytes;

use super::batch::Batch;
use super::layout::{BatchHeader, LENGTH_END};
use crate::model::{LeaderEpoch, Offset};

/// Batches in a row that have passed every check: the proof, and their bytes.
#[derive(Clone, Copy, Debug)]
pub struct Run<'b> {
    bytes: &'b [u8],
    extent: Extent,
}

/// How far a run reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) bytes: usize,
    pub(super) count: u32,
    pub(super) next_offset: Offset,
    pub(super) last_epoch: LeaderEpoch,
}

impl<'b> Run<'b> {
    /// The checked front of `bytes`.
    pub(super) fn new(bytes: &'b [u8], extent: Extent) -> Run<'b> {
        let bytes = bytes.get(..extent.bytes).expect("the sound part is a part");
        Run { bytes, extent }
    }

    pub(super) fn extent(&self) -> Extent {
        self.extent
    }

    /// The bytes of all batches, without a gap.
    #[must_use]
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// Whether there is no batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many batches.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.extent.count
    }

    /// The offset after the last batch; what was expected next where there is none.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.extent.next_offset
    }

    /// The last batch's leader epoch; what was expected where there is none.
    #[must_use]
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.extent.last_epoch
    }

    /// The batches in their order, without checking them again.
    #[must_use]
    pub fn batches(&self) -> Batches<'b> {
        Batches { bytes: self.bytes }
    }

    /// The run without its first `bytes`, which end with a batch.
    #[must_use]
    pub fn after(&self, bytes: usize, batches: u32) -> Run<'b> {
        let left = self
            .bytes
            .get(bytes..)
            .expect("a part of the run is not longer than the run");
        let count = self
            .extent
            .count
            .checked_sub(batches)
            .expect("a part has no more batches");
        let extent = Extent {
            bytes: left.len(),
            count,
            ..self.extent
        };
        Run {
            bytes: left,
            extent,
        }
    }
}

/// The same as a [`Run`], of bytes that may still be changed in ways that keep the proof.
#[derive(Debug)]
pub struct RunMut<'b> {
    pub(super) bytes: &'b mut [u8],
    extent: Extent,
    /// The offset and the epoch that the first batch had to continue.
    before: (Offset, LeaderEpoch),
}

impl<'b> RunMut<'b> {
    /// The checked front of `bytes`, which had to continue `before`.
    pub(super) fn new(
        bytes: &'b mut [u8],
        extent: Extent,
        before: (Offset, LeaderEpoch),
    ) -> RunMut<'b> {
        let bytes = bytes
            .get_mut(..extent.bytes)
            .expect("the sound part is a part");
        RunMut {
            bytes,
            extent,
            before,
        }
    }

    /// The run as it is now.
    #[must_use]
    pub fn as_run(&self) -> Run<'_> {
        Run::new(self.bytes, self.extent)
    }

    /// The first `batches` batches of it.
    #[must_use]
    pub fn front(self, batches: usize) -> RunMut<'b> {
        let extent = self.extent_of(batches);
        RunMut::new(self.bytes, extent, self.before)
    }

    /// Its last batch has this leader epoch now.
    pub(super) fn end_in(&mut self, epoch: LeaderEpoch) {
        self.extent.last_epoch = epoch;
    }

    /// How far its first `batches` batches reach.
    pub(super) fn extent_of(&self, batches: usize) -> Extent {
        let (next_offset, last_epoch) = self.before;
        let mut extent = Extent {
            bytes: 0,
            count: 0,
            next_offset,
            last_epoch,
        };
        for batch in self.as_run().batches().take(batches) {
            extent.bytes = extent.bytes.saturating_add(batch.bytes().len());
            extent.count = extent.count.saturating_add(1);
            extent.next_offset = batch.next_offset();
            extent.last_epoch = batch.leader_epoch();
        }
        extent
    }
}

/// The batches of a run.
#[derive(Clone, Debug)]
pub struct Batches<'b> {
    bytes: &'b [u8],
}

impl<'b> Iterator for Batches<'b> {
    type Item = Batch<'b>;

    fn next(&mut self) -> Option<Batch<'b>> {
        if self.bytes.is_empty() {
            return None;
        }
        let (header, _) =
            BatchHeader::ref_from_prefix(self.bytes).expect("a run has whole batches");
        let length = usize::try_from(header.length.get()).expect("a run has sound lengths");
        let size = length.saturating_add(LENGTH_END);
        let (batch, rest) = self.bytes.split_at(size);
        self.bytes = rest;
        Some(Batch::checked(batch))
    }
}
