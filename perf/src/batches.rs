//! Record batches built beforehand: sound ones of a given size, of which only the base offset,
//! which lies outside the CRC, is renewed when they are sent.

use twinlog::protocol::Writer;
use twinlog::record::HEADER_BYTES;
use twinlog::record::crc::crc32c;
use twinlog::stdx::prng::Prng;

/// Bytes of all records of a batch but the last, which takes what is left.
const RECORD_BYTES: usize = 1 << 10;
/// Two bytes each are enough for the lengths in a record, and are needed.
const TWO_BYTE_LENGTHS: std::ops::RangeInclusive<usize> = 64..=8191;
/// About so many bytes of batches are handed to the kernel at a time.
const BLOCK_BYTES: usize = 1 << 20;
const TIMESTAMP_MS: i64 = 1_700_000_000_000;

/// The sizes that batches can have here.
pub(crate) const BATCH_BYTES: std::ops::RangeInclusive<u64> = 160..=64 << 20;

/// How the bytes of a source lie in partitions and batches, all of which are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes of a batch.
    pub(crate) batch_bytes: usize,
    /// Records in a batch.
    pub(crate) records: u64,
    /// Batches of a partition.
    pub(crate) batches: u64,
    /// Partitions.
    pub(crate) partitions: u32,
}

/// A shape that cannot be.
#[derive(Debug, thiserror::Error)]
#[error(
    "{bytes} bytes cannot lie in {partitions} partitions with batches of {batch_bytes} bytes: a \
     batch has {} to {} bytes, and a partition has at least one",
    BATCH_BYTES.start(), BATCH_BYTES.end()
)]
pub(crate) struct Impossible {
    bytes: u64,
    batch_bytes: u64,
    partitions: u32,
}

impl Shape {
    /// About `bytes` bytes: as many as whole batches and equal partitions allow.
    ///
    /// # Errors
    /// No such batches or partitions can be.
    pub(crate) fn new(bytes: u64, batch_bytes: u64, partitions: u32) -> Result<Shape, Impossible> {
        let impossible = || Impossible {
            bytes,
            batch_bytes,
            partitions,
        };
        let batches = (bytes / batch_bytes)
            .checked_div(u64::from(partitions))
            .filter(|batches| *batches > 0 && BATCH_BYTES.contains(&batch_bytes))
            .ok_or_else(impossible)?;
        let batch_bytes = usize::try_from(batch_bytes).map_err(|_| impossible())?;
        Ok(Shape {
            batch_bytes,
            records: record_sizes(batch_bytes).count() as u64,
            batches,
            partitions,
        })
    }

    /// Bytes of all partitions.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.partitions) * self.batches * self.batch_bytes as u64
    }

    /// The offset after a partition's last record; the first is 0.
    pub(crate) fn end_offset(&self) -> i64 {
        i64::try_from(self.batches * self.records).expect("a record has more than one byte")
    }
}

/// A row of batches in memory, which are sent again and again with other offsets.
pub(crate) struct Block {
    shape: Shape,
    bytes: Vec<u8>,
}

impl Block {
    /// About a MiB of batches, or a larger one.
    pub(crate) fn new(shape: Shape) -> Block {
        let count = (BLOCK_BYTES / shape.batch_bytes).max(1);
        let bytes = batch(shape.batch_bytes).repeat(count);
        Block { shape, bytes }
    }

    /// A partition's batches from number `first` on: `most` or, if that is less, all that fit into
    /// the block.
    pub(crate) fn from(&mut self, first: u64, most: u64) -> &[u8] {
        let batch_bytes = self.shape.batch_bytes;
        let count = usize::try_from(most)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len() / batch_bytes);
        let row = &mut self.bytes[..count * batch_bytes];
        for (number, batch) in (first..).zip(row.chunks_exact_mut(batch_bytes)) {
            let offset = number * self.shape.records;
            batch[..8].copy_from_slice(&offset.to_be_bytes());
        }
        row
    }
}

fn record_sizes(batch_bytes: usize) -> impl Iterator<Item = usize> {
    let mut left = batch_bytes - HEADER_BYTES;
    std::iter::from_fn(move || {
        let size = if left >= 2 * RECORD_BYTES {
            RECORD_BYTES
        } else {
            left
        };
        left -= size;
        (size > 0).then_some(size)
    })
}

/// One batch of uncompressed records with base offset 0, leader epoch 0 and no producer.
fn batch(batch_bytes: usize) -> Vec<u8> {
    let mut covered = Vec::with_capacity(batch_bytes);
    let count = i32::try_from(record_sizes(batch_bytes).count()).expect("a batch is short");
    let mut to = Writer::new(&mut covered);
    to.i16(0);
    to.i32(count - 1);
    to.i64(TIMESTAMP_MS);
    to.i64(TIMESTAMP_MS);
    to.i64(-1);
    to.i16(-1);
    to.i32(-1);
    to.i32(count);
    let mut prng = Prng::new(1);
    for (delta, size) in (0..).zip(record_sizes(batch_bytes)) {
        write_record(&mut covered, delta, size, &mut prng);
    }
    let mut whole = Vec::with_capacity(batch_bytes);
    let mut to = Writer::new(&mut whole);
    to.i64(0);
    to.i32(i32::try_from(batch_bytes - 12).expect("a batch is short"));
    to.i32(0);
    to.i8(2);
    to.bytes(&crc32c(&covered).to_be_bytes());
    to.bytes(&covered);
    assert_eq!(whole.len(), batch_bytes);
    whole
}

/// A record of `size` bytes: no key, a value without meaning, no headers.
fn write_record(out: &mut Vec<u8>, delta: u32, size: usize, prng: &mut Prng) {
    let start = out.len();
    let body_bytes = size - 2;
    assert!(TWO_BYTE_LENGTHS.contains(&body_bytes), "{body_bytes}");
    let mut to = Writer::new(out);
    to.varint(zigzag(body_bytes));
    to.i8(0);
    to.varint(0);
    to.varint(delta << 1);
    // A key of length −1.
    to.varint(1);
    let value_bytes = start + size - out.len() - 3;
    assert!(TWO_BYTE_LENGTHS.contains(&value_bytes), "{value_bytes}");
    let mut to = Writer::new(out);
    to.varint(zigzag(value_bytes));
    for _ in 0..value_bytes {
        to.bytes(&[prng.next_u64().to_be_bytes()[0]]);
    }
    to.varint(0);
    assert_eq!(out.len() - start, size);
}

/// How a length is written as a signed variable-length number.
fn zigzag(length: usize) -> u32 {
    u32::try_from(length * 2).expect("a record is short")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use kafka_protocol::records::RecordBatchDecoder;
    use twinlog::model::{LeaderEpoch, Offset};
    use twinlog::record::{Expect, Rest, check};

    #[test]
    fn batches_of_every_size_pass_the_engines_check_and_another_decoder() {
        for batch_bytes in [160, 200, 1 << 10, 1100, 2109, 4 << 10, 64 << 10, 3 << 20] {
            let shape = Shape::new(64 << 20, batch_bytes, 1).unwrap();
            let expect = Expect {
                batch_bytes_max: shape.batch_bytes,
                ..Expect::after(
                    Offset::new(i64::try_from(7 * shape.records).unwrap()),
                    LeaderEpoch::new(0),
                )
            };
            let mut block = Block::new(shape);
            let bytes = block.from(7, 5);
            let checked = check(bytes, expect);
            assert_eq!(checked.rest, Rest::Nothing, "{batch_bytes}");
            let count = u64::from(checked.run.count());
            let capacity = (1 << 20) / batch_bytes;
            assert_eq!(count, 5.min(capacity.max(1)), "{batch_bytes}");
            let end = i64::try_from((7 + count) * shape.records).unwrap();
            assert_eq!(checked.run.next_offset(), Offset::new(end));

            let mut bytes = Bytes::copy_from_slice(bytes);
            let decoded = RecordBatchDecoder::decode_all(&mut bytes).unwrap();
            let offsets = decoded.iter().flat_map(|set| &set.records);
            let offsets: Vec<i64> = offsets.map(|record| record.offset).collect();
            let first = i64::try_from(7 * shape.records).unwrap();
            assert_eq!(offsets, (first..end).collect::<Vec<i64>>(), "{batch_bytes}");
        }
    }

    #[test]
    fn a_shape_has_whole_batches_in_equal_partitions() {
        let shape = Shape::new(1_000_000, 1000, 3).unwrap();
        assert_eq!((shape.batches, shape.bytes()), (333, 999_000));
        assert!(Shape::new(1_000_000, 1000, 0).is_err());
        assert!(Shape::new(2999, 1000, 3).is_err());
        assert!(Shape::new(1_000_000, 100, 1).is_err());
    }
}
