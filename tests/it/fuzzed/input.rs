//! An input taken apart: numbers, pieces, and batches whose checksums are made right.

use twinlog::record::crc::crc32c;

const HEADER_BYTES: usize = 61;
const LENGTH_AT: usize = 8;
const LENGTH_END: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

/// What is left of an input. Where it is too short, zeros follow.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// The next bytes, or as many as there are.
    pub(super) fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(super) fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.array())
    }
}

/// The bytes of batches out of an input, in one of three ways: as they are; with checksums made
/// right; or put together from headers and records, with lengths, format and checksums made right,
/// so that changes reach what lies behind these checks.
pub(super) fn batches(how: u8, bytes: &[u8]) -> Vec<u8> {
    match how % 3 {
        0 => bytes.to_vec(),
        1 => {
            let mut bytes = bytes.to_vec();
            repair(&mut bytes);
            bytes
        }
        _ => assembled(bytes),
    }
}

/// Makes the checksums right, as far as batches follow one another.
fn repair(mut bytes: &mut [u8]) {
    while bytes.len() >= HEADER_BYTES {
        let length: [u8; 4] = bytes[LENGTH_AT..LENGTH_END].try_into().expect("four bytes");
        let size = i64::from(i32::from_be_bytes(length)) + LENGTH_END as i64;
        let size = usize::try_from(size).unwrap_or(0);
        if size < HEADER_BYTES || size > bytes.len() {
            return;
        }
        let (batch, rest) = bytes.split_at_mut(size);
        let crc = crc32c(&batch[CRC_FROM..]);
        batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        bytes = rest;
    }
}

/// How many bytes of records, then a header, then the records; again and again.
fn assembled(bytes: &[u8]) -> Vec<u8> {
    let mut input = Input::new(bytes);
    let mut out = Vec::with_capacity(bytes.len() + HEADER_BYTES);
    while !input.is_empty() {
        let count = usize::from(input.byte());
        let from = out.len();
        out.extend_from_slice(&input.array::<HEADER_BYTES>());
        out.extend_from_slice(input.take(count));
        let batch = &mut out[from..];
        let length = i32::try_from(batch.len() - LENGTH_END).expect("small");
        batch[LENGTH_AT..LENGTH_END].copy_from_slice(&length.to_be_bytes());
        batch[MAGIC_AT] = 2;
    }
    repair(&mut out);
    out
}

/// The input that [`batches`] puts together to these batches again.
pub(super) fn taken_apart(mut batches: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while batches.len() >= HEADER_BYTES {
        let length: [u8; 4] = batches[LENGTH_AT..LENGTH_END].try_into().expect("four");
        let size = usize::try_from(i32::from_be_bytes(length)).expect("sound") + LENGTH_END;
        out.push(u8::try_from(size - HEADER_BYTES).expect("a small batch"));
        out.extend_from_slice(&batches[..size]);
        batches = &batches[size..];
    }
    out
}
