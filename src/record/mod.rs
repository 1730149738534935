//! The bytes of record batches: reading them, checking them, changing a producer id or
//! a leader epoch in place, building them for tools. No records are decoded on the data path.
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
mod producer_id;
mod run;
mod stamp;

pub use batch::{Batch, Codec, Producer, TimestampType};
pub use builder::{BatchBuilder, Marker};
pub use check::{BatchFault, Checked, Expect, Rest, check, check_mut, first, scan};
pub use control::{Control, ControlFault, control};
pub use entries::{Contents, EntriesFault, Record, Records};
pub use entry::{RecordHeader, RecordHeaders};
pub use fields::EntryFault;
pub use layout::{BatchHeader, CRC_FROM, HEADER_BYTES};
pub use producer_id::{ShiftFault, Shifted, unshift};
pub use run::{Batches, Run, RunMut};
