//! Fetch by hand, because it must not copy. As a client: the request that we write, and the answer
//! read window by window as it arrives. As a broker: the request that we read, and the answer
//! written around its records. Versions 13 to 18: topics are named by id.

mod answer;
mod received;
mod request;
mod written;

#[cfg(test)]
mod tests;

pub use answer::{
    AnswerEnd, AnswerHead, AnswerReader, Diverging, Endpoint, LeaderHint, PartitionHead,
    PartitionTail, Step,
};
pub use received::{FetchPartition, FetchRequest, read_request};
pub use request::{Ask, AskedPartition, write_request};
pub use written::{AnswerWriter, PartitionAnswer, Segment};

/// Fetch's API key.
pub const API_KEY: i16 = 1;
/// The oldest version that names topics by id.
pub const VERSION_MIN: i16 = 13;
/// The newest version that we speak.
pub const VERSION_MAX: i16 = 18;
