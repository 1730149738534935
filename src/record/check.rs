//! From bytes to batches: how many at the front are whole, sound and in order, and why not more.

use zerocopy::byteorder::big_endian::{I32, I64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::batch::Batch;
use super::crc::crc32c;
use super::layout::{BatchHeader, CRC_FROM, HEADER_BYTES, LENGTH_END, MAGIC};
use super::run::{Extent, Run, RunMut};
use crate::model::{LeaderEpoch, Offset};

/// What the batches have to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The offset that was asked for: the first batch must reach it and may begin before it.
    pub next: Offset,
    /// Whether the first batch may begin below `next`; a log that has an end must not overlap it.
    pub may_begin_before: bool,
    /// The epoch of what lies before; no batch may have an older one.
    pub epoch: LeaderEpoch,
    /// The largest batch that is accepted, in bytes with its header.
    pub batch_bytes_max: usize,
}

impl Expect {
    /// Batches of any size that continue a log which ends at `next` in `epoch`.
    #[must_use]
    pub fn after(next: Offset, epoch: LeaderEpoch) -> Expect {
        Expect {
            next,
            may_begin_before: false,
            epoch,
            batch_bytes_max: i32::MAX as usize,
        }
    }

    /// Batches of any size that a log begins with at offset 0.
    #[must_use]
    pub fn first() -> Expect {
        Expect::after(Offset::ZERO, LeaderEpoch::NONE)
    }
}

/// The sound batches at the front, and what comes after them.
#[derive(Debug)]
pub struct Checked<'b> {
    /// The sound ones; perhaps none.
    pub run: Run<'b>,
    /// What follows.
    pub rest: Rest,
}

/// What follows the last sound batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: the bytes end with a batch.
    Nothing,
    /// The beginning of a batch of which `have` bytes are there. `need` is its size, where enough
    /// is there to tell.
    Short {
        /// Bytes that are there.
        have: usize,
        /// The size of the whole batch.
        need: Option<usize>,
    },
    /// A batch that must not be stored.
    Fault(BatchFault),
}

/// Why a batch is refused. Its place is the offset that it claims or, where even that cannot be
/// believed, the offset that was due.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchFault {
    /// A format older than Kafka 0.11's.
    #[error(
        "the batch at offset {at} has message format {magic}; only format 2 can be mirrored: \
         let the source rewrite the topic, or exclude it"
    )]
    OldFormat {
        /// Where.
        at: i64,
        /// Its magic byte.
        magic: i8,
    },
    /// A format that nobody has defined.
    #[error("the batch at offset {at} has the unknown message format {magic}")]
    UnknownFormat {
        /// Where.
        at: i64,
        /// Its magic byte.
        magic: i8,
    },
    /// A length that no batch can have.
    #[error("the batch at offset {at} claims {length} bytes; {least} to {most} are possible")]
    Length {
        /// Where.
        at: i64,
        /// What it claims, header included.
        length: i64,
        /// The shortest that can be.
        least: usize,
        /// The longest that is accepted.
        most: usize,
    },
    /// The checksum is of other bytes.
    #[error("the batch at offset {at} is damaged: its CRC-32C is {found:08x}, it says {said:08x}")]
    Checksum {
        /// Where.
        at: i64,
        /// What the header says.
        said: u32,
        /// What the bytes have.
        found: u32,
    },
    /// A count of records that cannot be, or offsets that cannot be counted.
    #[error("the batch at offset {at} claims {count} records over an offset delta of {delta}")]
    Count {
        /// Where.
        at: i64,
        /// Records.
        count: i32,
        /// Last offset minus base offset.
        delta: i32,
    },
    /// The offsets do not continue what lies before.
    #[error("a batch with offsets {base} to {last} cannot follow at offset {next}")]
    Order {
        /// Its base offset.
        base: i64,
        /// Its last offset.
        last: i64,
        /// The offset that was due.
        next: Offset,
    },
    /// A leader's epoch older than the one before.
    #[error("the batch at offset {at} has leader epoch {epoch} after epoch {before}")]
    Epoch {
        /// Where.
        at: i64,
        /// Its epoch.
        epoch: LeaderEpoch,
        /// The epoch before it.
        before: LeaderEpoch,
    },
}

/// Checks every batch, checksum included.
#[must_use]
pub fn check<'b>(bytes: &'b [u8], expect: Expect) -> Checked<'b> {
    walk(bytes, expect, true)
}

/// The same of bytes that may be changed afterwards.
#[must_use]
pub fn check_mut(bytes: &mut [u8], expect: Expect) -> (RunMut<'_>, Rest) {
    let Checked { run, rest } = check(bytes, expect);
    let extent = run.extent();
    (
        RunMut::new(bytes, extent, (expect.next, expect.epoch)),
        rest,
    )
}

/// The same without checksums: for looking ahead at bytes that [`check`] will see.
#[must_use]
pub fn scan<'b>(bytes: &'b [u8], expect: Expect) -> Checked<'b> {
    walk(bytes, expect, false)
}

/// The first batch alone, checksum included.
///
/// # Errors
/// Why there is none.
pub fn first(bytes: &[u8], expect: Expect) -> Result<Batch<'_>, Rest> {
    one(bytes, expect, true)
}

fn walk<'b>(bytes: &'b [u8], expect: Expect, with_checksum: bool) -> Checked<'b> {
    let mut extent = Extent {
        bytes: 0,
        count: 0,
        next_offset: expect.next,
        last_epoch: expect.epoch,
    };
    let mut left = bytes;
    let rest = loop {
        if left.is_empty() {
            break Rest::Nothing;
        }
        let due = Expect {
            next: extent.next_offset,
            may_begin_before: expect.may_begin_before && extent.count == 0,
            epoch: extent.last_epoch,
            ..expect
        };
        match one(left, due, with_checksum) {
            Ok(batch) => {
                let (_, after) = left.split_at(batch.bytes().len());
                left = after;
                extent.count = extent.count.saturating_add(1);
                extent.next_offset = batch.next_offset();
                extent.last_epoch = batch.leader_epoch();
            }
            Err(rest) => break rest,
        }
    };
    extent.bytes = bytes.len().saturating_sub(left.len());
    let run = Run::new(bytes, extent);
    Checked { run, rest }
}

/// As much of a header as all formats share.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Beginning {
    base_offset: I64,
    length: I32,
    _differs: [u8; 4],
    magic: i8,
}

fn one(bytes: &[u8], due: Expect, with_checksum: bool) -> Result<Batch<'_>, Rest> {
    let short = |need| Rest::Short {
        have: bytes.len(),
        need,
    };
    let Ok((start, _)) = Beginning::ref_from_prefix(bytes) else {
        return Err(short(None));
    };
    let at = start.base_offset.get();
    known_format(start.magic, at).map_err(Rest::Fault)?;
    let size = possible_size(start.length.get(), at, due.batch_bytes_max).map_err(Rest::Fault)?;
    let Some(whole) = bytes.get(..size) else {
        return Err(short(Some(size)));
    };
    let (header, _) = BatchHeader::ref_from_prefix(whole).expect("the size has been checked");
    in_order(header, due).map_err(Rest::Fault)?;
    if with_checksum {
        intact(header, whole).map_err(Rest::Fault)?;
    }
    Ok(Batch::checked(whole))
}

fn known_format(magic: i8, at: i64) -> Result<(), BatchFault> {
    match magic {
        MAGIC => Ok(()),
        0 | 1 => Err(BatchFault::OldFormat { at, magic }),
        _ => Err(BatchFault::UnknownFormat { at, magic }),
    }
}

fn possible_size(length: i32, at: i64, most: usize) -> Result<usize, BatchFault> {
    let whole = i64::from(length).saturating_add(LENGTH_END as i64);
    usize::try_from(whole)
        .ok()
        .filter(|size| (HEADER_BYTES..=most).contains(size))
        .ok_or(BatchFault::Length {
            at,
            length: whole,
            least: HEADER_BYTES,
            most,
        })
}

/// Counts that can be, offsets that rise, an epoch that does not fall.
fn in_order(header: &BatchHeader, due: Expect) -> Result<(), BatchFault> {
    let (at, count, delta) = (
        header.base_offset.get(),
        header.count.get(),
        header.last_offset_delta.get(),
    );
    // Compaction removes records and keeps the delta: fewer than the delta says, even none.
    let countable =
        delta >= 0 && count >= 0 && i64::from(count) <= i64::from(delta).saturating_add(1);
    let last = at
        .checked_add(i64::from(delta))
        .filter(|last| at >= 0 && *last < i64::MAX);
    let (Some(last), true) = (last, countable) else {
        return Err(BatchFault::Count { at, count, delta });
    };
    let next = due.next.value();
    if last < next || (at < next && !due.may_begin_before) {
        return Err(BatchFault::Order {
            base: at,
            last,
            next: due.next,
        });
    }
    let epoch = LeaderEpoch::new(header.leader_epoch.get());
    if epoch < due.epoch {
        return Err(BatchFault::Epoch {
            at,
            epoch,
            before: due.epoch,
        });
    }
    Ok(())
}

fn intact(header: &BatchHeader, whole: &[u8]) -> Result<(), BatchFault> {
    let covered = whole
        .get(CRC_FROM..)
        .expect("a batch is longer than its header");
    let (said, found) = (header.crc.get(), crc32c(covered));
    if said == found {
        return Ok(());
    }
    Err(BatchFault::Checksum {
        at: header.base_offset.get(),
        said,
        found,
    })
}

#[cfg(test)]
mod tests;
