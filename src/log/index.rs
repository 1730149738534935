//! The bytes of the three indexes beside a segment: `OffsetIndex`, `TimeIndex` and
//! `TransactionIndex`.
//!
//! | Index | Entry | Bytes |
//! |---|---|---|
//! | offset | last offset of a batch less the base offset, 4; where the batch begins, 4 | 8 |
//! | time | largest timestamp so far, 8; last offset of its batch less the base offset, 4 | 12 |
//! | transaction | version 0, 2; producer id, 8; first, last, last stable offset, 8 each | 34 |

use crate::io::File;
use crate::model::{Offset, Position, ProducerId};
use crate::stdx::bytes::{be_i32, be_i64};

pub(super) const OFFSET_ENTRY: usize = 8;
pub(super) const TIME_ENTRY: usize = 12;
pub(super) const TXN_ENTRY: usize = 34;
/// No entry of any file that is searched is larger.
const ENTRY_BYTES_MAX: usize = 40;

/// Where a batch begins that ends with `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OffsetEntry {
    pub(super) last: Offset,
    pub(super) position: Position,
}

/// The batch that ends with `last` holds the largest timestamp so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeEntry {
    pub(super) timestamp: i64,
    pub(super) last: Offset,
}

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AbortedTxn {
    pub(super) producer: ProducerId,
    pub(super) first: Offset,
    pub(super) last: Offset,
    pub(super) last_stable: Offset,
}

impl OffsetEntry {
    pub(super) fn push(self, base: Offset, out: &mut Vec<u8>) {
        out.extend_from_slice(&relative(self.last, base).to_be_bytes());
        let position = u32::try_from(self.position.value()).expect("a segment is below 2 GiB");
        out.extend_from_slice(&position.to_be_bytes());
    }

    pub(super) fn read(entry: &[u8], base: Offset) -> Option<OffsetEntry> {
        let position = u64::try_from(be_i32(entry, 4)?).ok()?;
        Some(OffsetEntry {
            last: absolute(be_i32(entry, 0)?, base)?,
            position: Position::new(position),
        })
    }
}

impl TimeEntry {
    pub(super) fn push(self, base: Offset, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&relative(self.last, base).to_be_bytes());
    }

    pub(super) fn read(entry: &[u8], base: Offset) -> Option<TimeEntry> {
        Some(TimeEntry {
            timestamp: be_i64(entry, 0)?,
            last: absolute(be_i32(entry, 8)?, base)?,
        })
    }
}

impl AbortedTxn {
    pub(super) fn push(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&0i16.to_be_bytes());
        out.extend_from_slice(&self.producer.value().to_be_bytes());
        for offset in [self.first, self.last, self.last_stable] {
            out.extend_from_slice(&offset.value().to_be_bytes());
        }
    }

    pub(super) fn read(entry: &[u8]) -> Option<AbortedTxn> {
        let offset = |at| be_i64(entry, at).and_then(Offset::from_wire);
        let version_is_known = entry.starts_with(&[0, 0]);
        Some(AbortedTxn {
            producer: ProducerId::from_wire(be_i64(entry, 2)?)?,
            first: offset(10)?,
            last: offset(18)?,
            last_stable: offset(26)?,
        })
        // A marker lies behind its transaction; zeros that a lost write leaves do not.
        .filter(|txn| version_is_known && txn.first < txn.last)
    }
}

fn relative(offset: Offset, base: Offset) -> i32 {
    i32::try_from(offset.since(base)).expect("a segment spans less than 2^31 offsets")
}

fn absolute(relative: i32, base: Offset) -> Option<Offset> {
    base.checked_add(u64::try_from(relative).ok()?)
}

/// How many entries at the front of an index `keep` says yes to; it says no from some entry on.
/// Reads as many entries as a binary search needs.
pub(super) fn count_while<F: File, T>(
    file: &F,
    entry_bytes: usize,
    read: impl Fn(&[u8]) -> Option<T>,
    keep: impl Fn(&T) -> bool,
) -> std::io::Result<usize> {
    let size = usize::try_from(file.size()?).unwrap_or(usize::MAX);
    count_within(file, entry_bytes, size / entry_bytes, read, keep)
}

/// The same of the first `most` entries: what lies behind them is not looked at.
pub(super) fn count_within<F: File, T>(
    file: &F,
    entry_bytes: usize,
    most: usize,
    read: impl Fn(&[u8]) -> Option<T>,
    keep: impl Fn(&T) -> bool,
) -> std::io::Result<usize> {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low) / 2;
        let entry = entry_at(file, entry_bytes, middle, &read)?;
        if entry.is_some_and(|entry| keep(&entry)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// One entry; `None` where it cannot be read as one.
pub(super) fn entry_at<F: File, T>(
    file: &F,
    entry_bytes: usize,
    nth: usize,
    read: impl Fn(&[u8]) -> Option<T>,
) -> std::io::Result<Option<T>> {
    let mut bytes = [0; ENTRY_BYTES_MAX];
    let place = Position::new((nth * entry_bytes) as u64);
    let count = file.read_at(&mut bytes[..entry_bytes], place)?;
    Ok((count == entry_bytes)
        .then(|| read(&bytes[..entry_bytes]))
        .flatten())
}
