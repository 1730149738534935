//! Everything that can wake a node beside a shard's report and a deadline.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::control::admin::AdminAnswer;
use crate::control::errands::Beginnings;
use crate::kraft::{Image, Life, News};
use crate::leading::inbox::Report as LeadingReport;
use crate::mirror::{MirrorName, PartitionKey, Ticket};
use crate::model::{BrokerId, ShardId, TopicPartition};
use crate::session::{ClusterView, SessionFault};
use crate::shard::inbox::{Answer, CursorId};

use super::chores::Outcome;

/// Something has happened.
pub enum Event {
    /// A source's brokers and topics.
    Seen {
        /// Whose source.
        mirror: MirrorName,
        /// What one of its brokers says.
        outcome: Result<ClusterView, SessionFault>,
    },
    /// Where logs at a source begin and end.
    Began {
        /// Whose source.
        mirror: MirrorName,
        /// Of which partitions that was asked.
        asked: Vec<TopicPartition>,
        /// What their leader says.
        outcome: Result<Beginnings, SessionFault>,
    },
    /// Answers to questions of shards.
    Answered {
        /// Whose source.
        mirror: Option<MirrorName>,
        /// Which broker was asked.
        broker: BrokerId,
        /// Whose question, and its answer.
        answers: Vec<(ShardId, CursorId, Answer)>,
    },
    /// The member has news: how it stands by now, and the destination as it is.
    News(News, Life, Arc<Image>),
    /// The member has ended, for this reason.
    Parted(String),
    /// From the thread that serves followers.
    Leading(LeadingReport),
    /// Something that was asked of the destination has come out so.
    Chore(Outcome),
}

/// What waits for a record to be kept.
pub(super) enum Then {
    /// A partition's state, by its machine's ticket.
    State(PartitionKey, Ticket),
    /// A step of a partition.
    Step(PartitionKey),
    /// The answer to an operator.
    Answer(oneshot::Sender<AdminAnswer>, AdminAnswer),
    /// Nothing.
    Nothing,
}
