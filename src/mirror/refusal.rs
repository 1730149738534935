//! Why an operation on mirrors is refused.

use crate::model::{PartitionIndex, TopicId, TopicName};
use crate::protocol::ErrorCode;

use super::lifecycle::State;
use super::name::MirrorName;
use super::selection::SelectionFault;
use super::settings::SettingFault;

/// What an operator asked for that cannot be; nothing was changed because of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A name that is none.
    #[error("'{0}' is not a mirror's name: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")]
    MirrorName(String),
    /// The name is taken.
    #[error("the mirror '{0}' exists already")]
    MirrorExists(MirrorName),
    /// There is no such mirror.
    #[error("there is no mirror '{0}'")]
    UnknownMirror(String),
    /// The source is not said.
    #[error("a mirror needs 'bootstrap.servers'")]
    NoSource,
    /// A setting that cannot be.
    #[error(transparent)]
    Setting(#[from] SettingFault),
    /// More than can be kept.
    #[error("{what}: {most} at the most")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// A pattern that is none.
    #[error(transparent)]
    Pattern(#[from] SelectionFault),
    /// A name that no topic has.
    #[error("'{0}' is not a topic's name")]
    TopicName(String),
    /// The topic belongs to no mirror.
    #[error("the topic '{0}' belongs to no mirror")]
    UnknownTopic(TopicName),
    /// A pattern keeps it out.
    #[error("the topic '{0}' is excluded by a pattern of the mirror")]
    Excluded(TopicName),
    /// Another topic has had the name.
    #[error("the topic '{topic}' has the id {known}, not {stated}")]
    TopicId {
        /// The topic.
        topic: TopicName,
        /// Its id as we know it.
        known: TopicId,
        /// Its id as stated.
        stated: TopicId,
    },
    /// The id belongs to a topic of another name.
    #[error("the id {id} is that of the topic '{topic}'")]
    TopicIdTaken {
        /// The id.
        id: TopicId,
        /// The topic that has it.
        topic: TopicName,
    },
    /// A partition count that cannot be.
    #[error("the topic '{topic}' cannot have {count} partitions")]
    PartitionCount {
        /// The topic.
        topic: TopicName,
        /// The count as stated.
        count: i32,
    },
    /// Another mirror has it.
    #[error("the topic '{topic}' is mirrored by '{mirror}' already")]
    InOtherMirror {
        /// The topic.
        topic: TopicName,
        /// The mirror that has it.
        mirror: MirrorName,
    },
    /// It belongs to another mirror than the one that was named.
    #[error("the topic '{topic}' belongs to the mirror '{mirror}'")]
    NotInMirror {
        /// The topic.
        topic: TopicName,
        /// The mirror that has it.
        mirror: MirrorName,
    },
    /// It is paused: to be resumed, or stopped first.
    #[error("the topic '{0}' is paused: resume it, or stop it first")]
    NotStopped(TopicName),
    /// Its stop has not come to its end.
    #[error("the topic '{topic}' is being stopped: partition {partition} is {state}")]
    BeingStopped {
        /// The topic.
        topic: TopicName,
        /// The first of its partitions that is not stopped.
        partition: PartitionIndex,
        /// Where that is.
        state: State,
    },
    /// It is stopped.
    #[error("the topic '{0}' is stopped: start it")]
    AlreadyStopped(TopicName),
    /// It is not paused.
    #[error("the topic '{0}' is not paused")]
    NotPaused(TopicName),
    /// A partition is not where the operation can begin.
    #[error("partition {partition} of the topic '{topic}' is {}, not {expected}", told(*.state))]
    WrongState {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: PartitionIndex,
        /// Where it is; none if nothing of it is on record.
        state: Option<State>,
        /// Where it would have to be.
        expected: State,
    },
    /// Topics are mirrored still.
    #[error("the mirror '{mirror}' is not empty: '{topic}' is not stopped")]
    NotEmpty {
        /// The mirror.
        mirror: MirrorName,
        /// The first such topic.
        topic: TopicName,
    },
    /// Somebody else was faster.
    #[error("the topic '{0}' has changed since the request was made: look again")]
    Changed(TopicName),
}

fn told(state: Option<State>) -> &'static str {
    state.map_or(State::UNKNOWN_NAME, State::name)
}

impl Refusal {
    /// The code that a client is told. The KIP has a later error for a topic that is stopped
    /// already, without a number of its own so far; like everything that is refused because of a
    /// state it falls under `INVALID_CLUSTER_MIRROR_STATE`.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Refusal::MirrorName(_) => ErrorCode::INVALID_CLUSTER_MIRROR_NAME,
            Refusal::MirrorExists(_) => ErrorCode::CLUSTER_MIRROR_ALREADY_EXISTS,
            Refusal::UnknownMirror(_) => ErrorCode::UNKNOWN_CLUSTER_MIRROR,
            Refusal::NoSource | Refusal::TooMany { .. } | Refusal::Excluded(_) => {
                ErrorCode::INVALID_REQUEST
            }
            Refusal::Setting(_) => ErrorCode::INVALID_CONFIG,
            Refusal::Pattern(_) => ErrorCode::INVALID_REGULAR_EXPRESSION,
            Refusal::TopicName(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
            Refusal::UnknownTopic(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            Refusal::TopicId { .. } => ErrorCode::INCONSISTENT_TOPIC_ID,
            Refusal::TopicIdTaken { .. } => ErrorCode::TOPIC_ALREADY_EXISTS,
            Refusal::PartitionCount { .. } => ErrorCode::INVALID_PARTITIONS,
            Refusal::InOtherMirror { .. } => ErrorCode::TOPIC_ALREADY_IN_CLUSTER_MIRROR,
            Refusal::NotInMirror { .. } => ErrorCode::TOPIC_NOT_IN_CLUSTER_MIRROR,
            Refusal::NotStopped(_) => ErrorCode::MIRROR_TOPIC_NOT_STOPPED,
            Refusal::BeingStopped { .. } => ErrorCode::MIRROR_TOPIC_BEING_STOPPED,
            Refusal::NotPaused(_) => ErrorCode::MIRROR_TOPIC_NOT_PAUSED,
            Refusal::NotEmpty { .. } => ErrorCode::CLUSTER_MIRROR_NOT_EMPTY,
            Refusal::AlreadyStopped(_) | Refusal::WrongState { .. } | Refusal::Changed(_) => {
                ErrorCode::INVALID_CLUSTER_MIRROR_STATE
            }
        }
    }
}
