//! A checked view over one batch.

use std::fmt;

use zerocopy::FromBytes;

use super::layout::BatchHeader;
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

const CODEC_MASK: i16 = 0x07;
pub(super) const CODEC_ZSTD: i16 = 4;
const LOG_APPEND_TIME: i16 = 0x08;
pub(super) const TRANSACTIONAL: i16 = 0x10;
pub(super) const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// One batch whose header, length and checksum are sound. Whoever holds it need not check again.
#[derive(Clone, Copy)]
pub struct Batch<'b> {
    header: &'b BatchHeader,
    bytes: &'b [u8],
}

/// How a batch's records are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
    /// A number that Kafka has not given out.
    Unknown(u8),
}

/// Who set a batch's timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer.
    CreateTime,
    /// The broker: all records have the batch's largest timestamp.
    LogAppendTime,
}

/// The producer part of a header, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Who.
    pub id: ProducerId,
    /// In which life.
    pub epoch: ProducerEpoch,
    /// The first record's sequence number; −1 in control batches.
    pub base_sequence: i32,
}

impl<'b> Batch<'b> {
    /// `bytes` are one whole batch that has passed every check.
    pub(super) fn checked(bytes: &'b [u8]) -> Batch<'b> {
        let (header, _) =
            BatchHeader::ref_from_prefix(bytes).expect("a checked batch is longer than its header");
        Batch { header, bytes }
    }

    /// All bytes, header included.
    #[must_use]
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// The records as stored: compressed where there is a codec.
    #[must_use]
    pub fn records(&self) -> &'b [u8] {
        self.bytes
            .get(super::HEADER_BYTES..)
            .expect("a checked batch is longer than its header")
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &'b BatchHeader {
        self.header
    }

    /// The first offset.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        Offset::new(self.header.base_offset.get())
    }

    /// The last offset, of a record that compaction may have removed.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.base_offset()
            .checked_add(u64::from(
                self.header.last_offset_delta.get().unsigned_abs(),
            ))
            .expect("the check has refused offsets that cannot be counted")
    }

    /// The offset after the last.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset()
            .checked_add(1)
            .expect("the check has refused the largest offset")
    }

    /// The leader epoch.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch::new(self.header.leader_epoch.get())
    }

    /// The first record's timestamp in ms, as the producer's clock or the broker's said.
    #[must_use]
    pub fn base_timestamp(&self) -> i64 {
        self.header.base_timestamp.get()
    }

    /// The largest timestamp in ms; −1 where there is none.
    #[must_use]
    pub fn max_timestamp(&self) -> i64 {
        self.header.max_timestamp.get()
    }

    /// Records in the batch.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.header.count.get().unsigned_abs()
    }

    /// The compression of its records.
    #[must_use]
    pub fn codec(&self) -> Codec {
        match self.header.attributes.get() & CODEC_MASK {
            0 => Codec::None,
            1 => Codec::Gzip,
            2 => Codec::Snappy,
            3 => Codec::Lz4,
            CODEC_ZSTD => Codec::Zstd,
            other => Codec::Unknown(u8::try_from(other).unwrap_or(u8::MAX)),
        }
    }

    /// Whose clock its timestamps are of.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.has(LOG_APPEND_TIME) {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// Whether it belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.has(TRANSACTIONAL)
    }

    /// Whether it holds a marker of Kafka's own and no user's records.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.has(CONTROL)
    }

    /// Whether the base timestamp is the time from which compaction may drop its tombstones.
    #[must_use]
    pub fn has_delete_horizon(&self) -> bool {
        self.has(DELETE_HORIZON)
    }

    /// Its producer, if it is idempotent or transactional.
    #[must_use]
    pub fn producer(&self) -> Option<Producer> {
        let id = ProducerId::from_wire(self.header.producer_id.get())?;
        let epoch = ProducerEpoch::new(self.header.producer_epoch.get());
        Some(Producer {
            id,
            epoch,
            base_sequence: self.header.base_sequence.get(),
        })
    }

    /// The last record's sequence number; numbers wrap around to 0. −1 where there are none.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        let base = self.header.base_sequence.get();
        let delta = self.header.last_offset_delta.get();
        match base {
            ..0 => -1,
            _ => base.wrapping_add(delta) & i32::MAX,
        }
    }

    fn has(&self, flag: i16) -> bool {
        self.header.attributes.get() & flag != 0
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Batch({}..={}, {} bytes)",
            self.base_offset(),
            self.last_offset(),
            self.bytes.len()
        )
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Codec::None => f.pad("none"),
            Codec::Gzip => f.pad("gzip"),
            Codec::Snappy => f.pad("snappy"),
            Codec::Lz4 => f.pad("lz4"),
            Codec::Zstd => f.pad("zstd"),
            Codec::Unknown(number) => write!(f, "codec {number}"),
        }
    }
}
