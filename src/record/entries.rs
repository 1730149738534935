//! Single records out of a batch, for tools and tests only: no byte of the data path comes here.

use std::borrow::Cow;
use std::io::Read;

use super::batch::{Batch, Codec, TimestampType};
use super::entry::{Entry, RecordHeaders};
use super::fields::{EntryFault, Fields};
use crate::model::Offset;

/// Why a batch's records cannot be told. Its place is the batch's base offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntriesFault {
    /// A codec that is not read here.
    #[error(
        "the records at offset {at} are packed with {codec}; only plain ones and zstd are read"
    )]
    Codec {
        /// Where.
        at: Offset,
        /// The codec.
        codec: Codec,
    },
    /// Bytes that the codec does not understand.
    #[error("the records at offset {at} cannot be unpacked: {reason}")]
    Packed {
        /// Where.
        at: Offset,
        /// What the codec says.
        reason: String,
    },
    /// More bytes than the caller wants to hold.
    #[error("the records at offset {at} unpack to more than {most} bytes")]
    Size {
        /// Where.
        at: Offset,
        /// The caller's bound.
        most: usize,
    },
    /// A record that is none.
    #[error("a record of the batch at offset {at} cannot be read: {fault}")]
    Entry {
        /// Where.
        at: Offset,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// A record whose offset does not rise, or lies behind the batch's last.
    #[error("the batch at offset {at} has a record with offset delta {delta} out of its place")]
    Order {
        /// Where.
        at: Offset,
        /// Its offset less the base offset.
        delta: u32,
    },
    /// A timestamp beyond what 64 bits can count.
    #[error("the batch at offset {at} has a record with timestamp delta {delta}")]
    Timestamp {
        /// Where.
        at: Offset,
        /// Its timestamp less the base timestamp.
        delta: i64,
    },
    /// Bytes behind as many records as the header counts.
    #[error("{left} bytes are left over behind the last record of the batch at offset {at}")]
    LeftOver {
        /// Where.
        at: Offset,
        /// How many.
        left: usize,
    },
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'c> {
    /// Its place.
    pub offset: Offset,
    /// Its time in ms, as the batch's clock says; −1 where there is none.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'c [u8]>,
    /// Its value; none in a tombstone.
    pub value: Option<&'c [u8]>,
    /// Its headers.
    pub headers: RecordHeaders<'c>,
}

/// The records of one batch, unpacked.
#[derive(Clone, Debug)]
pub struct Contents<'b> {
    batch: Batch<'b>,
    records: Cow<'b, [u8]>,
}

impl<'b> Contents<'b> {
    /// Unpacks a batch; no more than `bytes_max` are ever held for it, besides the codec's window.
    ///
    /// # Errors
    /// The codec is not plain or zstd, does not understand the bytes, or makes too many of them.
    pub fn of(batch: &Batch<'b>, bytes_max: usize) -> Result<Contents<'b>, EntriesFault> {
        let at = batch.base_offset();
        let records = match batch.codec() {
            Codec::None => Cow::Borrowed(batch.records()),
            Codec::Zstd => Cow::Owned(unpack(batch, bytes_max)?),
            codec => return Err(EntriesFault::Codec { at, codec }),
        };
        let batch = *batch;
        Ok(Contents { batch, records })
    }

    /// The records in their order; it ends with the first that cannot be read.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records {
            batch: self.batch,
            fields: Fields::new(&self.records),
            left: self.batch.record_count(),
            least_delta: 0,
            failed: false,
        }
    }
}

/// The records of a batch, one by one.
#[derive(Clone, Debug)]
pub struct Records<'c> {
    batch: Batch<'c>,
    fields: Fields<'c>,
    /// Records that have yet to come.
    left: u32,
    /// The least offset delta that the next record can have.
    least_delta: u32,
    failed: bool,
}

impl<'c> Records<'c> {
    fn step(&mut self) -> Result<Option<Record<'c>>, EntriesFault> {
        let at = self.batch.base_offset();
        let Some(left) = self.left.checked_sub(1) else {
            return match self.fields.left() {
                0 => Ok(None),
                left => Err(EntriesFault::LeftOver { at, left }),
            };
        };
        self.left = left;
        let entry =
            Entry::read(&mut self.fields).map_err(|fault| EntriesFault::Entry { at, fault })?;
        let offset = self.place(entry.offset_delta)?;
        let timestamp = self.time(entry.timestamp_delta)?;
        Ok(Some(Record {
            offset,
            timestamp,
            key: entry.key,
            value: entry.value,
            headers: entry.headers,
        }))
    }

    fn place(&mut self, delta: u32) -> Result<Offset, EntriesFault> {
        let at = self.batch.base_offset();
        let offset = at
            .checked_add(u64::from(delta))
            .filter(|offset| delta >= self.least_delta && *offset <= self.batch.last_offset())
            .ok_or(EntriesFault::Order { at, delta })?;
        self.least_delta = delta.saturating_add(1);
        Ok(offset)
    }

    fn time(&self, delta: i64) -> Result<i64, EntriesFault> {
        if self.batch.timestamp_type() == TimestampType::LogAppendTime {
            return Ok(self.batch.max_timestamp());
        }
        let at = self.batch.base_offset();
        self.batch
            .base_timestamp()
            .checked_add(delta)
            .ok_or(EntriesFault::Timestamp { at, delta })
    }
}

impl<'c> Iterator for Records<'c> {
    type Item = Result<Record<'c>, EntriesFault>;

    fn next(&mut self) -> Option<Result<Record<'c>, EntriesFault>> {
        if self.failed {
            return None;
        }
        let step = self.step().transpose();
        self.failed = !matches!(step, Some(Ok(_)));
        step
    }
}

fn unpack(batch: &Batch<'_>, bytes_max: usize) -> Result<Vec<u8>, EntriesFault> {
    let at = batch.base_offset();
    let packed = |fault: std::io::Error| EntriesFault::Packed {
        at,
        reason: fault.to_string(),
    };
    let one_too_many = u64::try_from(bytes_max)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut records = Vec::new();
    // Around the records themselves: a buffer of its own would have 128 KiB.
    zstd::stream::read::Decoder::with_buffer(batch.records())
        .map_err(packed)?
        .take(one_too_many)
        .read_to_end(&mut records)
        .map_err(packed)?;
    if records.len() > bytes_max {
        let most = bytes_max;
        return Err(EntriesFault::Size { at, most });
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
