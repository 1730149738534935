//! The header of a v2 record batch, field by field (Kafka: `DefaultRecordBatch`).
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 8 | base offset |
//! | 8 | 4 | length of what follows this field |
//! | 12 | 4 | partition leader epoch |
//! | 16 | 1 | magic, 2 |
//! | 17 | 4 | CRC-32C of everything from the attributes on |
//! | 21 | 2 | attributes |
//! | 23 | 4 | last offset delta |
//! | 27 | 8 | base timestamp |
//! | 35 | 8 | max timestamp |
//! | 43 | 8 | producer id |
//! | 51 | 2 | producer epoch |
//! | 53 | 4 | base sequence |
//! | 57 | 4 | record count |
//! | 61 | | the records |

use zerocopy::byteorder::big_endian::{I16, I32, I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The header as it lies in memory, file and frame.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BatchHeader {
    /// The offset of the first record that was ever in the batch.
    pub base_offset: I64,
    /// Bytes after this field.
    pub length: I32,
    /// The epoch of the leader that took the batch in; outside the CRC.
    pub leader_epoch: I32,
    /// The format's version.
    pub magic: i8,
    /// CRC-32C over everything that follows.
    pub crc: U32,
    /// Codec, timestamp type, transactional, control.
    pub attributes: I16,
    /// Last offset minus base offset; compaction leaves it as it was.
    pub last_offset_delta: I32,
    /// The timestamp that the records' deltas refer to, in ms.
    pub base_timestamp: I64,
    /// The largest timestamp, in ms.
    pub max_timestamp: I64,
    /// The producer's id, or −1.
    pub producer_id: I64,
    /// The producer's epoch, or −1.
    pub producer_epoch: I16,
    /// The sequence number of the first record, or −1.
    pub base_sequence: I32,
    /// Records in the batch; compaction may leave none.
    pub count: I32,
}

/// Bytes of a header.
pub const HEADER_BYTES: usize = size_of::<BatchHeader>();
/// Bytes up to and including the length field: what has to be there to know a batch's size.
pub(super) const LENGTH_END: usize = 12;
/// Where the bytes that the CRC covers begin.
pub const CRC_FROM: usize = 21;
/// Where the producer id ends.
pub(super) const PRODUCER_ID_END: usize = 51;
/// The version of the format that is understood here.
pub(super) const MAGIC: i8 = 2;

const _: () = assert!(HEADER_BYTES == 61);
const _: () = assert!(std::mem::offset_of!(BatchHeader, magic) == 16);
const _: () = assert!(std::mem::offset_of!(BatchHeader, attributes) == CRC_FROM);
const _: () = assert!(std::mem::offset_of!(BatchHeader, leader_epoch) == LENGTH_END);
const _: () = assert!(std::mem::offset_of!(BatchHeader, producer_id) == 43);
const _: () = assert!(std::mem::offset_of!(BatchHeader, producer_epoch) == PRODUCER_ID_END);
const _: () = assert!(std::mem::offset_of!(BatchHeader, count) == 57);
