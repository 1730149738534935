//! What a partition's answer can mean: for its records, for the partition, and for people.

use super::CursorId;
use crate::model::{BrokerId, Instant, LeaderEpoch, Offset, TopicId};
use crate::protocol::error_code::ErrorCode;

/// What to do with the records of one partition of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Check and append them.
    Append(Expected),
    /// Skip them; the answer is for a place where we no longer are, or for nobody.
    Ignore,
    /// There are none to take; the tail says why.
    Wait {
        /// Whom the answer is for.
        cursor: CursorId,
    },
}

/// What the records of an answer have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Whose records they are.
    pub cursor: CursorId,
    /// No batch ends below this offset.
    pub next: Offset,
    /// The first batch may begin below it, as far as our log does not reach.
    pub may_begin_before: bool,
    /// No batch has an older leader epoch.
    pub epoch_min: LeaderEpoch,
    /// No batch has a newer one: the fetch was judged by the source under this epoch. A broker
    /// that has lost its lead meanwhile may send more (KAFKA-18723).
    pub epoch_max: LeaderEpoch,
}

/// What became of the records of one partition's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There were none, or none were wanted.
    Nothing,
    /// Whole batches, all appended; a cut one at the end does not count.
    Appended,
    /// Not one whole batch.
    TooSmall {
        /// The bytes of the first batch, where enough of it came to tell.
        need: Option<u32>,
    },
    /// A batch failed its check; those before it are appended.
    Corrupt,
    /// The first batch is sound by itself, but begins inside our log.
    Overlaps {
        /// Where it begins.
        base: Offset,
    },
    /// A batch was newer than [`Expected::epoch_max`]; those before it are appended.
    EpochAhead,
    /// They could not be written; those before are appended.
    Unwritten,
}

/// How a partition goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// As before; the next request asks for more.
    Continue,
    /// Something failed; it is tried again at `at`. For logs and counters, nothing to do.
    Retry {
        /// When it is tried again.
        at: Instant,
        /// What failed.
        trouble: Trouble,
        /// Failures in a row, this one included.
        failures: u32,
    },
    /// A question was put to control, see [`Source::next_question`].
    Asked,
    /// Cut the log at `to` (or empty it, where it begins later), then call
    /// [`Source::truncated`].
    Truncate {
        /// The first offset to go.
        to: Offset,
    },
    /// Only of a replica: drop everything and begin an empty log at `at`, then call
    /// [`Source::restarted`].
    Restart {
        /// Where the leader's log begins, as far as is known.
        at: Offset,
    },
    /// The source says that it no longer has these records, and is asked from `to` on. Nothing to
    /// do before [`super::Source::advanced`] says so too.
    Gap {
        /// Where the log ends, and the first offset that is lost.
        from: Offset,
        /// The source's log start.
        to: Offset,
    },
    /// All that was asked for at `follow` is in the log.
    Done,
    /// The partition ends here; others go on.
    Stop(Cause),
}

/// What failed without stopping a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The source's broker answered with an error.
    #[error("the source answers {0:?}")]
    Refused(ErrorCode),
    /// The first batch of an answer is damaged.
    #[error("the source sent a damaged batch")]
    Corrupt,
    /// A batch is newer than the leader that sent it.
    #[error("the source sent a batch of a leader epoch that its sender did not have")]
    EpochAhead,
    /// What came could not be written.
    #[error("what the source sent could not be written")]
    Unwritten,
    /// The answer left the partition out.
    #[error("broker {broker}: its answer to Fetch from offset {next} leaves the partition out")]
    Missing {
        /// Who answered.
        broker: BrokerId,
        /// The offset that was asked for.
        next: Offset,
    },
    /// An answer without an error tells of no high watermark.
    #[error("broker {broker}: its answer to Fetch is no error and has no high watermark")]
    NoWatermark {
        /// Who answered.
        broker: BrokerId,
    },
    /// High watermarks come, and what should lie below them does not.
    #[error(
        "broker {broker} tells of one high watermark after the other, now {high_watermark}, but \
         sends nothing from offset {next} on"
    )]
    Promised {
        /// Who answered.
        broker: BrokerId,
        /// The offset that was asked for.
        next: Offset,
        /// What it told last.
        high_watermark: Offset,
    },
    /// Our log and the source's differ.
    #[error("the source's log differs from ours")]
    Diverging,
    /// A question could not be answered.
    #[error("the source could not be asked")]
    NoAnswer,
    /// What the leader says of its log is true of none.
    #[error(
        "broker {broker} says that its log begins at offset {start} and ends at {end}: no log \
         does, so that neither is believed"
    )]
    Crossed {
        /// Who says so.
        broker: BrokerId,
        /// Where the log is said to begin.
        start: Offset,
        /// Where it is said to end.
        end: Offset,
    },
}

/// Why an answer to Fetch as a whole has brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// It is an error.
    #[error("Fetch answered {0}")]
    Refused(ErrorCode),
    /// Nothing but throttles has come for a while.
    #[error("Fetch answered {answers} times in a row without records, only to throttle us")]
    Throttled {
        /// How often.
        answers: u32,
    },
}

/// Why a partition stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The source lost records that we hold (an unclean leader election).
    #[error(
        "the source's log ends at {source_end} in leader epoch {epoch}, but records up to \
         {held_to} were copied from it: the source has lost or rewritten records (an unclean \
         leader election); to have them set aside and cut off here as well, name the topic in the \
         mirror's setting unclean.leader.election.topics, or copy with --truncate"
    )]
    SourceTruncated {
        /// Where our log ends.
        held_to: Offset,
        /// Where the source's log ends in `epoch`.
        source_end: Offset,
        /// The last epoch of which both sides know.
        epoch: LeaderEpoch,
    },
    /// The topic is gone.
    #[error("the topic was deleted at the source")]
    TopicDeleted,
    /// The topic's name now belongs to another topic.
    #[error("the topic was recreated at the source: its id was {held}, it is {now}")]
    TopicRecreated {
        /// The id of the topic that we followed.
        held: TopicId,
        /// The id that the name has now.
        now: TopicId,
    },
    /// The topic's leaders count anew, and no id tells whether it is the same topic.
    #[error(
        "the leader epoch at the source fell from {held} to {now}: the topic was recreated there, \
         or the cluster has forgotten"
    )]
    LeaderEpochFell {
        /// The epoch of the leader that we followed.
        held: LeaderEpoch,
        /// The epoch that the source tells now.
        now: LeaderEpoch,
    },
    /// The source keeps sending damaged bytes.
    #[error("broker {broker} sent a damaged batch at offset {next}, {answers} times in a row")]
    Corrupt {
        /// Who sent it.
        broker: BrokerId,
        /// The offset that was asked for.
        next: Offset,
        /// How often.
        answers: u32,
    },
    /// A batch is larger than we make room for.
    #[error("the batch at offset {next} has {need} bytes; {batch_bytes_max} are allowed")]
    BatchTooLarge {
        /// The offset that was asked for.
        next: Offset,
        /// The batch's bytes.
        need: u32,
        /// The bound from the options.
        batch_bytes_max: u32,
    },
}

/// What an error of the source asks of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Wait, then fetch again.
    Again,
    /// Follow the answer's hint (KIP-951), or ask who leads.
    NewLeader,
    /// Wait, then ask who leads, and whether the topic is still there.
    LeaderAfterRest,
    /// Ask where the source's log begins and ends.
    Bounds,
}

/// The one place where the source's error codes get their meaning for a partition. Whatever is
/// not named here is waited out: the source's errors are its own affair, and may pass.
pub(super) fn remedy(error: ErrorCode) -> Remedy {
    match error {
        ErrorCode::OFFSET_OUT_OF_RANGE => Remedy::Bounds,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH => Remedy::NewLeader,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::UNKNOWN_TOPIC_ID
        | ErrorCode::INCONSISTENT_TOPIC_ID
        | ErrorCode::LEADER_NOT_AVAILABLE
        | ErrorCode::REPLICA_NOT_AVAILABLE
        | ErrorCode::KAFKA_STORAGE_ERROR => Remedy::LeaderAfterRest,
        _ => Remedy::Again,
    }
}
