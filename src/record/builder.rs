//! Builds record batches, for tools and tests: what a producer and its broker make of records.

use zerocopy::{FromZeros, IntoBytes};

use super::batch::{CODEC_ZSTD, CONTROL, Producer, TRANSACTIONAL};
use super::control::{ABORT, COMMIT};
use super::crc::crc32c;
use super::entry::RecordHeader;
use super::layout::{BatchHeader, CRC_FROM, HEADER_BYTES, LENGTH_END, MAGIC};
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Kafka's "no timestamp", "no producer", "no sequence number".
const NONE: i8 = -1;

/// One batch while its records are put in, each with the offset after the one before it.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    timestamp: i64,
    max_timestamp: i64,
    zstd_level: Option<i32>,
    producer: Option<Producer>,
    attributes: i16,
    /// Offsets that are used up, by records or by gaps.
    offsets: u32,
    count: u32,
    records: Vec<u8>,
    /// The record at work, before its length is known.
    body: Vec<u8>,
}

impl BatchBuilder {
    /// A plain batch without a producer. `timestamp`, in ms, is that of all records, unless they
    /// say otherwise.
    #[must_use]
    pub fn new(base_offset: Offset, leader_epoch: LeaderEpoch, timestamp: i64) -> BatchBuilder {
        BatchBuilder {
            base_offset,
            leader_epoch,
            timestamp,
            max_timestamp: i64::from(NONE),
            zstd_level: None,
            producer: None,
            attributes: 0,
            offsets: 0,
            count: 0,
            records: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Compresses the records with Zstandard at this level.
    #[must_use]
    pub fn zstd(mut self, level: i32) -> BatchBuilder {
        self.zstd_level = Some(level);
        self
    }

    /// Makes it a batch of an idempotent producer.
    #[must_use]
    pub fn producer(mut self, producer: Producer) -> BatchBuilder {
        self.producer = Some(producer);
        self
    }

    /// Makes it a part of its producer's transaction.
    #[must_use]
    pub fn transactional(mut self) -> BatchBuilder {
        self.attributes |= TRANSACTIONAL;
        self
    }

    /// Adds a record with the batch's timestamp.
    pub fn push(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader<'_>],
    ) -> &mut BatchBuilder {
        self.push_at(self.timestamp, key, value, headers)
    }

    /// Adds a record with a timestamp of its own, in ms.
    pub fn push_at(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader<'_>],
    ) -> &mut BatchBuilder {
        self.body.clear();
        // Attributes of single records have no meaning yet.
        self.body.push(0);
        put_varlong(&mut self.body, timestamp.wrapping_sub(self.timestamp));
        put_varlong(&mut self.body, i64::from(self.offsets));
        put_nullable(&mut self.body, key);
        put_nullable(&mut self.body, value);
        put_length(&mut self.body, headers.len());
        for header in headers {
            put_length(&mut self.body, header.key.len());
            self.body.extend_from_slice(header.key);
            put_nullable(&mut self.body, header.value);
        }
        put_length(&mut self.records, self.body.len());
        self.records.extend_from_slice(&self.body);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.count = self
            .count
            .checked_add(1)
            .expect("offsets run out before records do");
        self.skip(1)
    }

    /// Leaves a gap of so many offsets, as compaction does that removes their records.
    pub fn skip(&mut self, offsets: u32) -> &mut BatchBuilder {
        self.offsets = self
            .offsets
            .checked_add(offsets)
            .filter(|offsets| *offsets <= i32::MAX.unsigned_abs())
            .expect("a batch has fewer than 2^31 offsets");
        self
    }

    /// The offset that the next record would get.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.base_offset
            .checked_add(u64::from(self.offsets))
            .expect("a tool's offsets stay countable")
    }

    /// Bytes of the records so far, before compression.
    #[must_use]
    pub fn records_bytes(&self) -> usize {
        self.records.len()
    }

    /// The batch's bytes, checksum included. There must be one offset at least; a batch of gaps
    /// alone is one that compaction has emptied: without records, codec and base timestamp.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let last_delta = self
            .offsets
            .checked_sub(1)
            .expect("a batch has an offset at least");
        let records = match self.zstd_level {
            Some(level) if self.count > 0 => {
                self.attributes |= CODEC_ZSTD;
                zstd::bulk::compress(&self.records, level).expect("memory can be compressed")
            }
            _ => std::mem::take(&mut self.records),
        };
        let mut header = self.header(last_delta);
        let after_length = HEADER_BYTES
            .saturating_sub(LENGTH_END)
            .saturating_add(records.len());
        header.length.set(wire(after_length));
        sealed(&header, &records)
    }

    fn header(&self, last_delta: u32) -> BatchHeader {
        let mut header = BatchHeader::new_zeroed();
        header.base_offset.set(self.base_offset.value());
        header.leader_epoch.set(self.leader_epoch.value());
        header.magic = MAGIC;
        header.attributes.set(self.attributes);
        header.last_offset_delta.set(last_delta.cast_signed());
        let (base, max) = match self.count {
            0 => (i64::from(NONE), self.timestamp),
            _ => (self.timestamp, self.max_timestamp),
        };
        header.base_timestamp.set(base);
        header.max_timestamp.set(max);
        let (id, epoch, sequence) = match self.producer {
            Some(of) => (of.id.value(), of.epoch.value(), of.base_sequence),
            None => (i64::from(NONE), i16::from(NONE), i32::from(NONE)),
        };
        header.producer_id.set(id);
        header.producer_epoch.set(epoch);
        header.base_sequence.set(sequence);
        header.count.set(self.count.cast_signed());
        header
    }
}

/// The end of a transaction in one partition, as its coordinator has it written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The marker's own offset.
    pub offset: Offset,
    /// The epoch of the partition's leader.
    pub leader_epoch: LeaderEpoch,
    /// When, in ms.
    pub timestamp: i64,
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// In which life of the producer.
    pub producer_epoch: ProducerEpoch,
    /// The epoch of the transaction coordinator.
    pub coordinator_epoch: i32,
    /// Whether its records are valid; they are void otherwise.
    pub commits: bool,
}

impl Marker {
    /// The marker's control batch.
    #[must_use]
    pub fn batch(&self) -> Vec<u8> {
        let end = if self.commits { COMMIT } else { ABORT };
        let [high, low] = end.to_be_bytes();
        // Key and value both begin with their version, 0.
        let key = [0, 0, high, low];
        let mut value = vec![0, 0];
        value.extend_from_slice(&self.coordinator_epoch.to_be_bytes());
        let producer = Producer {
            id: self.producer_id,
            epoch: self.producer_epoch,
            base_sequence: i32::from(NONE),
        };
        let mut batch = BatchBuilder::new(self.offset, self.leader_epoch, self.timestamp)
            .producer(producer)
            .transactional();
        batch.attributes |= CONTROL;
        batch.push(Some(&key), Some(&value), &[]);
        batch.finish()
    }
}

/// Header and records behind one another, with the checksum of what follows it.
fn sealed(header: &BatchHeader, records: &[u8]) -> Vec<u8> {
    let size = HEADER_BYTES.saturating_add(records.len());
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(records);
    let (head, covered) = bytes.split_at_mut(CRC_FROM);
    let crc = head
        .last_chunk_mut::<4>()
        .expect("the checksum stands before what it covers");
    *crc = crc32c(covered).to_be_bytes();
    bytes
}

fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag > 0x7f {
        let digit = u8::try_from(zigzag & 0x7f).expect("seven bits fit a byte");
        out.push(digit | 0x80);
        zigzag >>= 7;
    }
    out.push(u8::try_from(zigzag).expect("seven bits fit a byte"));
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    put_varlong(out, i64::from(wire(length)));
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else {
        return put_varlong(out, i64::from(NONE));
    };
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn wire(length: usize) -> i32 {
    i32::try_from(length).expect("tools build batches below 2 GiB")
}

#[cfg(test)]
mod tests;
