//! The bytes of record batches: reading them, checking them, building them for tools. No records are
//! decoded on the data path.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod batch;
mod check;
pub mod crc;
mod layout;

pub use batch::{Batch, Codec, Producer, TimestampType};
pub use check::{BatchFault, Batches, Checked, Expect, Rest, Run, check, scan};
pub use layout::{BatchHeader, HEADER_BYTES};
