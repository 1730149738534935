//! Fetch by hand, because it must not copy. As a client: the request that we write, and the answer
//! read window by window as it arrives; up to version 12 topics have names, from 13 on ids. As a
//! broker, from version 12 on: the request that we read, and the answer written around its records.

mod answer;
mod around;
mod form;
mod reading;
mod received;
mod request;
mod topics;
mod written;

#[cfg(test)]
mod tests;

pub use answer::{
    AnswerEnd, AnswerHead, Diverging, Endpoint, LeaderHint, PartitionHead, PartitionTail, Step,
};
pub use around::{Around, Told};
pub use reading::AnswerReader;
pub use received::{FetchPartition, FetchRequest, read_request};
pub use request::{Ask, AskedPartition, Replica, Request, Session, write_request};
pub use topics::Topics;
pub use written::{AnswerWriter, PartitionAnswer, Segment};

/// Fetch's API key.
pub const API_KEY: i16 = 1;
/// The oldest version that we speak as a client: the first that tells batches as they are stored.
pub const VERSION_MIN: i16 = 4;
/// The newest version that we speak.
pub const VERSION_MAX: i16 = 18;
/// From this version on there are incremental sessions (KIP-227).
pub const SESSIONS_FROM: i16 = 7;
/// From this version on a request says which epoch the asker's log ends in, and the broker tells
/// where it diverges. Before, whoever wants to know has to ask for the end of that epoch.
pub const LAST_EPOCH_FROM: i16 = 12;
/// From this version on topics have ids instead of names.
pub const TOPIC_IDS_FROM: i16 = 13;
