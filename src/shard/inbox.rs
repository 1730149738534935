//! What control orders and what a shard reports: the only words between threads.
//!
//! Orders are obeyed in their order. Reports are level-triggered: a status says where a
//! partition stands, so that a newer one replaces an older one that was not read yet.

use std::path::PathBuf;

use hdrhistogram::Histogram;

use crate::model::{BrokerId, LeaderEpoch, Offset, ProducerIdShift, TopicId, TopicPartition};

pub use super::placement::shard_of;
pub use crate::log::{LogOptions, Recovered};
pub use crate::protocol::fetch::Endpoint;
pub use crate::source::{Answer, Cause, CursorId, EpochEnd, Question};

/// What control wants of a shard.
#[derive(Debug)]
pub enum Order {
    /// Where brokers listen.
    Brokers(Vec<Endpoint>),
    /// Begin to mirror a partition.
    Mirror(Box<Mirror>),
    /// Who leads a partition.
    Leader {
        /// Which partition.
        id: TopicPartition,
        /// Its leader.
        leader: BrokerId,
        /// The leader's epoch.
        epoch: LeaderEpoch,
    },
    /// The answer to a question.
    Answer {
        /// Whose question.
        cursor: CursorId,
        /// The answer.
        answer: Answer,
    },
    /// The recovery points that the vault's checkpoint says from now on, where they have moved.
    Recorded(Vec<(TopicPartition, Offset)>),
    /// End a partition, for a reason that control has seen.
    Stop {
        /// Which partition.
        id: TopicPartition,
        /// Why.
        cause: Cause,
    },
    /// Make everything durable, close it, report once more and end.
    Close,
}

/// A partition to be mirrored.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Its name.
    pub id: TopicPartition,
    /// Its topic's id.
    pub topic_id: TopicId,
    /// Where its files lie or will lie.
    pub dir: PathBuf,
    /// The source's broker that leads it.
    pub leader: BrokerId,
    /// That leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Where the log begins: as the vault knows, or as the source says for a new one.
    pub log_start: Offset,
    /// Below it the vault's files were synced.
    pub recovery_point: Offset,
    /// The vault was closed cleanly.
    pub is_clean: bool,
    /// From here on the source still has all that the vault had, just as it was.
    pub refetchable: Option<Offset>,
    /// The topic's settings of segments.
    pub options: LogOptions,
    /// What is added to the producer ids of its batches; the vault remembers it.
    pub producer_id_shift: ProducerIdShift,
    /// Done once this is reached; `None` follows for ever.
    pub until: Option<Offset>,
}

/// What a shard tells control.
#[derive(Debug, Default)]
pub struct Report {
    /// Partitions that have moved, each at most once.
    pub statuses: Vec<Status>,
    /// What only control can find out.
    pub questions: Vec<Asked>,
    /// Set in the last report: the shard is closed.
    pub closed: Option<Closed>,
}

/// A question with the names that control needs to ask it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// The partition that it is about; none where it is about a broker.
    pub id: Option<(TopicPartition, TopicId)>,
}

/// Where a partition stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// Which partition.
    pub id: TopicPartition,
    /// What it is doing.
    pub phase: Phase,
    /// What it has copied since it was opened.
    pub tally: Tally,
    /// Its log's start.
    pub log_start: Offset,
    /// Its log's end.
    pub log_end: Offset,
    /// Everything below is on disk, whatever happens to the power.
    pub durable: Offset,
    /// The source's high watermark, once told.
    pub high_watermark: Option<Offset>,
    /// What the source had lost before we came: first missing offset, first one behind.
    pub gaps: Vec<(Offset, Offset)>,
    /// What opening it took.
    pub recovered: Recovered,
}

/// What a partition is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Copying, or waiting for more.
    Mirroring,
    /// Something failed and is tried again; in words.
    Waiting(String),
    /// All that was asked for is durable.
    Done,
    /// It goes no further; the others do. In words.
    Stopped(String),
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes of batches.
    pub bytes: u64,
    /// Batches.
    pub batches: u64,
}

/// A closed shard's last words.
#[derive(Debug)]
pub struct Closed {
    /// Every log of it is synced and closed as a clean stop demands.
    pub is_clean: bool,
    /// Milliseconds from a batch's largest timestamp to its commit here, of batches that were
    /// committed within a minute of it.
    pub lag_ms: Histogram<u64>,
}
