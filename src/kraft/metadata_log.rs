//! Following the metadata log: what to ask for next, and what its records make of the image.
//!
//! Only what lies below the high watermark is applied; above it, anything may still be cut off
//! by a new leader of the quorum, so it waits. A snapshot is built into an image of its own,
//! which takes the place of the old one when it is whole.

use std::collections::VecDeque;

use super::image::{Delta, Image, ImageFault};
use crate::model::{LeaderEpoch, Offset};
use crate::protocol::controller::{SnapshotAnswer, SnapshotId};
use crate::protocol::metadata_record::{MetadataRecord, RecordFault};
use crate::record::{self, Batch, BatchFault, Contents, EntriesFault, Expect, Rest};

/// No batch of a metadata log is larger; the controllers' own bound is 8 MiB.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// Records of one open transaction, in bytes.
const TRANSACTION_BYTES_MAX: usize = 256 << 20;

/// The metadata log as far as we have it.
#[derive(Debug)]
pub(super) struct MetadataLog {
    image: Image,
    /// All below it is in the image, or waits for its transaction's end.
    applied: Place,
    /// Batches at or above the high watermark, in their order.
    pending: VecDeque<Pending>,
    high_watermark: Option<Offset>,
    transaction: Option<Transaction>,
    loading: Option<Loading>,
}

/// The end of what we have: the next offset, and the epoch of the last batch before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    next: Offset,
    /// 0 where there is nothing, as a quorum wants to be asked.
    epoch: i32,
}

#[derive(Debug)]
struct Pending {
    end: Place,
    bytes: Vec<u8>,
}

/// Records that count only once their transaction has ended.
#[derive(Debug)]
struct Transaction {
    begins: Offset,
    bytes: usize,
    values: Vec<(Offset, Vec<u8>)>,
}

/// A snapshot on its way.
#[derive(Debug)]
struct Loading {
    id: SnapshotId,
    position: u64,
    size: Option<u64>,
    /// The beginning of a batch whose end has not come.
    rest: Vec<u8>,
    image: Image,
    next: Offset,
}

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Records from an offset on.
    Records {
        offset: Offset,
        last_epoch: LeaderEpoch,
        high_watermark: Option<Offset>,
    },
    /// The next piece of a snapshot.
    Piece { id: SnapshotId, position: u64 },
}

/// What came of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The image is as it was.
    Nothing,
    /// Batches were applied.
    Applied(Delta),
    /// Another image has taken its place.
    Replaced,
}

/// Why the metadata log cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFault {
    /// Bytes that are no batch; a controller's fault or the way's.
    #[error("the metadata log is damaged: {0}")]
    Damaged(#[from] BatchFault),
    /// A piece of a snapshot that was not asked for.
    #[error("a piece at {position} of {size} bytes of a snapshot came where {expected} was due")]
    Piece {
        /// Where it begins.
        position: u64,
        /// Bytes of the snapshot.
        size: u64,
        /// Where it should.
        expected: u64,
    },
    /// A snapshot that ends within a batch.
    #[error("a snapshot of the metadata log ends within a batch")]
    Cut,
    /// A batch whose records cannot be told.
    #[error("the metadata log: {0}")]
    Contents(EntriesFault),
    /// A record that is not understood.
    #[error("the metadata log at offset {at}: {fault}")]
    Record {
        /// Where.
        at: Offset,
        /// Why not.
        fault: RecordFault,
    },
    /// A record that does not fit what is there.
    #[error("the metadata log at offset {at} speaks of {fault}")]
    Image {
        /// Where.
        at: Offset,
        /// How not.
        fault: ImageFault,
    },
    /// A transaction within another, an end without a beginning, or more than can be held.
    #[error("the metadata log at offset {at} has a transaction out of its place")]
    Transaction {
        /// Where.
        at: Offset,
    },
}

impl LogFault {
    /// Whether asking again, perhaps somebody else, may help: nothing was taken in.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            LogFault::Damaged(_) | LogFault::Piece { .. } | LogFault::Cut
        )
    }
}

impl MetadataLog {
    pub(super) fn new() -> MetadataLog {
        MetadataLog {
            image: Image::default(),
            applied: Place::default(),
            pending: VecDeque::new(),
            high_watermark: None,
            transaction: None,
            loading: None,
        }
    }

    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    /// The last offset that the image has, if any: that of the batch before an open transaction.
    pub(super) fn applied(&self) -> Option<Offset> {
        let open = self.transaction.as_ref().map(|open| open.begins);
        let next = open.unwrap_or(self.applied.next);
        Offset::from_wire(next.value() - 1)
    }

    /// Whether all that is settled is applied, as far as we know.
    pub(super) fn is_caught_up(&self) -> bool {
        self.loading.is_none()
            && self
                .high_watermark
                .is_some_and(|settled| settled <= self.applied.next)
    }

    pub(super) fn wanted(&self) -> Wanted {
        if let Some(loading) = &self.loading {
            return Wanted::Piece {
                id: loading.id,
                position: loading.position,
            };
        }
        let end = self.end();
        Wanted::Records {
            offset: end.next,
            last_epoch: LeaderEpoch::new(end.epoch),
            high_watermark: self.high_watermark,
        }
    }

    fn end(&self) -> Place {
        self.pending.back().map_or(self.applied, |last| last.end)
    }

    /// Takes in what was fetched at the end of what we have. The end of `bytes` may be the
    /// beginning of a batch; that is asked for again.
    ///
    /// # Errors
    /// A fault that is passing has changed nothing.
    pub(super) fn take_records(
        &mut self,
        bytes: &[u8],
        high_watermark: Option<Offset>,
    ) -> Result<Progress, LogFault> {
        let end = self.end();
        let expect = Expect {
            next: end.next,
            may_begin_before: true,
            epoch: LeaderEpoch::new(end.epoch),
            batch_bytes_max: BATCH_BYTES_MAX,
        };
        let checked = record::check(bytes, expect);
        if let Rest::Fault(fault) = checked.rest {
            return Err(fault.into());
        }
        for batch in checked.run.batches() {
            self.pending.push_back(Pending {
                end: Place {
                    next: batch.next_offset(),
                    epoch: batch.leader_epoch().value(),
                },
                bytes: batch.bytes().to_vec(),
            });
        }
        self.high_watermark = self.high_watermark.max(high_watermark);
        self.settle()
    }

    /// Applies what has come to lie below the high watermark.
    fn settle(&mut self) -> Result<Progress, LogFault> {
        let settled = self.high_watermark.unwrap_or(Offset::ZERO);
        let mut delta = Delta::default();
        let mut is_moved = false;
        while self
            .pending
            .front()
            .is_some_and(|next| next.end.next <= settled)
        {
            let next = self.pending.pop_front().expect("just seen");
            let expect = Expect {
                next: self.applied.next,
                may_begin_before: true,
                epoch: LeaderEpoch::NONE,
                batch_bytes_max: BATCH_BYTES_MAX,
            };
            let checked = record::scan(&next.bytes, expect);
            for batch in checked.run.batches() {
                self.apply(&batch, &mut delta)?;
            }
            self.applied = next.end;
            is_moved = true;
        }
        Ok(match is_moved {
            true => Progress::Applied(delta),
            false => Progress::Nothing,
        })
    }

    fn apply(&mut self, batch: &Batch<'_>, delta: &mut Delta) -> Result<(), LogFault> {
        let from = self.applied.next;
        each_record(batch, |at, value| {
            // A batch that was cut by a snapshot's end begins before it.
            if at < from {
                return Ok(());
            }
            let fault = |fault| LogFault::Record { at, fault };
            match (
                MetadataRecord::read(value).map_err(fault)?,
                &mut self.transaction,
            ) {
                (MetadataRecord::BeginTransaction, open @ None) => {
                    *open = Some(Transaction {
                        begins: at,
                        bytes: 0,
                        values: Vec::new(),
                    });
                }
                (MetadataRecord::EndTransaction, open @ Some(_)) => {
                    let ended = open.take().expect("just seen");
                    for (at, value) in &ended.values {
                        put(&mut self.image, *at, value, delta)?;
                    }
                }
                (MetadataRecord::AbortTransaction, open @ Some(_)) => *open = None,
                (MetadataRecord::BeginTransaction, _)
                | (MetadataRecord::EndTransaction | MetadataRecord::AbortTransaction, None) => {
                    return Err(LogFault::Transaction { at });
                }
                (_, Some(open)) => {
                    open.bytes += value.len();
                    if open.bytes > TRANSACTION_BYTES_MAX {
                        return Err(LogFault::Transaction { at });
                    }
                    open.values.push((at, value.to_vec()));
                }
                (record, None) => {
                    let fault = |fault| LogFault::Image { at, fault };
                    self.image.apply(record, delta).map_err(fault)?;
                }
            }
            Ok(())
        })
    }

    /// Our log is not the leader's: what we have of later epochs, or beyond the end of this one,
    /// is cut off. What is applied was settled; where even that is not the leader's, everything
    /// is read anew.
    pub(super) fn diverged(&mut self, epoch: LeaderEpoch, end: Offset) -> Progress {
        let is_common = |place: &Place| place.next <= end && place.epoch <= epoch.value();
        self.pending.retain(|batch| is_common(&batch.end));
        if is_common(&self.applied) {
            return Progress::Nothing;
        }
        *self = MetadataLog::new();
        Progress::Replaced
    }

    /// The log begins later than we ask: all before is in this snapshot.
    pub(super) fn begin_snapshot(&mut self, id: SnapshotId) {
        self.loading = Some(Loading {
            id,
            position: 0,
            size: None,
            rest: Vec::new(),
            image: Image::default(),
            next: Offset::ZERO,
        });
    }

    /// The snapshot cannot be had any more; the log says which one can.
    pub(super) fn abandon_snapshot(&mut self) {
        self.loading = None;
    }

    /// Takes in a piece of the snapshot that is on its way.
    ///
    /// # Errors
    /// It is not the next one, or not to be understood; the snapshot has to be begun anew.
    pub(super) fn take_piece(&mut self, piece: &SnapshotAnswer) -> Result<Progress, LogFault> {
        let Some(mut loading) = self.loading.take() else {
            return Ok(Progress::Nothing);
        };
        let is_due = piece.id == Some(loading.id)
            && piece.position == loading.position
            && loading.size.unwrap_or(piece.size) == piece.size;
        let after = loading.position.checked_add(piece.bytes.len() as u64);
        let after = after.filter(|after| is_due && *after <= piece.size);
        // A piece of nothing before the end would be asked for for ever.
        let stands = piece.bytes.is_empty() && after.is_some_and(|after| after < piece.size);
        let (Some(after), false) = (after, stands) else {
            return Err(LogFault::Piece {
                position: piece.position,
                size: piece.size,
                expected: loading.position,
            });
        };
        loading.position = after;
        loading.size = Some(piece.size);
        loading.rest.extend_from_slice(&piece.bytes);
        loading.digest()?;
        if after < piece.size {
            self.loading = Some(loading);
            return Ok(Progress::Nothing);
        }
        if !loading.rest.is_empty() {
            return Err(LogFault::Cut);
        }
        let end = loading.id.end;
        *self = MetadataLog {
            image: loading.image,
            applied: Place {
                next: end,
                epoch: loading.id.epoch.value(),
            },
            high_watermark: self.high_watermark.max(Some(end)),
            ..MetadataLog::new()
        };
        Ok(Progress::Replaced)
    }
}

impl Loading {
    /// Puts the whole batches that have come into the image.
    fn digest(&mut self) -> Result<(), LogFault> {
        let expect = Expect {
            next: self.next,
            may_begin_before: false,
            epoch: LeaderEpoch::NONE,
            batch_bytes_max: BATCH_BYTES_MAX,
        };
        let checked = record::check(&self.rest, expect);
        if let Rest::Fault(fault) = checked.rest {
            return Err(fault.into());
        }
        // Nobody has seen this image yet, so that nothing about it is news.
        let mut delta = Delta::default();
        for batch in checked.run.batches() {
            each_record(&batch, |at, value| {
                put(&mut self.image, at, value, &mut delta)
            })?;
        }
        self.next = checked.run.next_offset();
        let used = checked.run.bytes().len();
        self.rest.drain(..used);
        Ok(())
    }
}

/// The records of a batch that is not the quorum's own.
fn each_record(
    batch: &Batch<'_>,
    mut take: impl FnMut(Offset, &[u8]) -> Result<(), LogFault>,
) -> Result<(), LogFault> {
    if batch.is_control() {
        return Ok(());
    }
    let contents = Contents::of(batch, BATCH_BYTES_MAX).map_err(LogFault::Contents)?;
    for record in contents.records() {
        let record = record.map_err(LogFault::Contents)?;
        let at = record.offset;
        let value = record.value.ok_or(LogFault::Record {
            at,
            fault: RecordFault::Empty,
        })?;
        take(at, value)?;
    }
    Ok(())
}

fn put(image: &mut Image, at: Offset, value: &[u8], delta: &mut Delta) -> Result<(), LogFault> {
    let record = MetadataRecord::read(value).map_err(|fault| LogFault::Record { at, fault })?;
    let applied = image.apply(record, delta);
    applied.map_err(|fault| LogFault::Image { at, fault })
}

#[cfg(test)]
mod tests;
