//! The bytes of record batches: reading them, checking them, building them for tools. No records
//! are decoded on the data path.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod batch;
mod builder;
mod check;
mod control;
pub mod crc;
mod entries;
mod entry;
mod fields;
mod layout;

pub use batch::{Batch, Codec, Producer, TimestampType};
pub use builder::{BatchBuilder, Marker};
pub use check::{BatchFault, Batches, Checked, Expect, Rest, Run, check, first, scan};
pub use control::{Control, ControlFault, control};
pub use entries::{Contents, EntriesFault, Record, Records};
pub use entry::RecordHeader;
pub use fields::EntryFault;
pub use layout::{BatchHeader, HEADER_BYTES};
