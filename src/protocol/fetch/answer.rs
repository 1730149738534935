//! What a Fetch answer says, part by part.

use crate::model::{BrokerAddress, BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::error_code::ErrorCode;

/// What comes next in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The window ends before the next step does; at least so many bytes more are needed.
    More(usize),
    /// The answer's beginning.
    Head(AnswerHead),
    /// A partition's entry begins.
    Partition(PartitionHead),
    /// The window's front is record bytes of the partition; so many of it, of `left` in all. The
    /// caller says by [`AnswerReader::take_records`] how many it has used.
    Records {
        /// Bytes of the window that are records of this partition.
        available: usize,
        /// Bytes of the partition's records that were not taken, the available ones included.
        left: usize,
    },
    /// The partition's entry ends.
    PartitionEnd(PartitionTail),
    /// The answer ends, and with it the frame.
    End(AnswerEnd),
}

/// An answer's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// How long the broker wants us to wait before the next request, in ms.
    pub throttle_ms: i32,
    /// An error of the request as a whole.
    pub error: ErrorCode,
    /// The incremental session that the answer belongs to; 0 for none.
    pub session: i32,
}

/// What is said of a partition before its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionHead {
    /// The topic; [`TopicId::ZERO`] where the answer names one that we do not know.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// Its error.
    pub error: ErrorCode,
    /// Its high watermark, taken before the records were read; none where it is unknown.
    pub high_watermark: Option<Offset>,
    /// Its log start offset; none where it is unknown.
    pub log_start: Option<Offset>,
    /// Bytes of records that follow.
    pub records_bytes: usize,
}

/// What is said of a partition after its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionTail {
    /// Where our log leaves the leader's.
    pub diverging: Option<Diverging>,
    /// Who leads instead.
    pub leader: Option<LeaderHint>,
}

/// The largest epoch of the leader's that is not above ours, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diverging {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its end offset; none where the leader does not know.
    pub end: Option<Offset>,
}

/// A partition's leader, as told by a broker that is not it (KIP-951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderHint {
    /// The leader.
    pub leader: BrokerId,
    /// Its epoch.
    pub epoch: LeaderEpoch,
}

/// An answer's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerEnd {
    /// Where the leaders of the hints listen (KIP-951), as far as hosts are literal addresses or
    /// names.
    pub endpoints: Vec<Endpoint>,
}

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The broker.
    pub broker: BrokerId,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl From<&Endpoint> for BrokerAddress {
    fn from(endpoint: &Endpoint) -> BrokerAddress {
        BrokerAddress {
            host: endpoint.host.clone(),
            port: endpoint.port,
        }
    }
}
