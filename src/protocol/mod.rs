//! Kafka RPCs as values: frames, headers, versions, errors, and Fetch by hand.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod controller;
pub mod error_code;
pub mod fetch;
pub mod frame;
pub mod header;
pub mod metadata_record;
pub mod mirror_rpc;
mod primitive;
pub mod shape;
pub mod txn_markers;
pub mod versions;

pub use error_code::ErrorCode;
pub use header::RequestHeader;
pub use primitive::{Malformed, Reader, Short, Unread, Writer, written};
