//! What a partition is told, and what it answers.

use crate::model::{Instant, LeaderEpoch};

use super::{Desired, MirrorPartitionState, State, StateEpoch};

/// What belongs to one [`Step`]: whoever carries that out says by its ticket what came of it. What
/// is told with any other ticket than the last is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// An operator, or whoever acts for one, wants this.
    Wanted(Desired),
    /// We lead the partition from now on, in this epoch; NONE where there are no leaders.
    Leads(LeaderEpoch),
    /// We lead it no longer. Whatever is under way for it is to be given up.
    Lost,
    /// What [`Step::Read`] found; none where nothing was ever written.
    Read {
        /// Of that step.
        ticket: Ticket,
        /// The last record that is kept.
        record: Option<MirrorPartitionState>,
    },
    /// What [`Step::Write`] asked for is kept, for good.
    Written {
        /// Of that step.
        ticket: Ticket,
    },
    /// A [`Step::Read`] or [`Step::Write`] has come to nothing, or nobody knows.
    Refused {
        /// Of that step.
        ticket: Ticket,
        /// Why.
        why: WriteRefusal,
    },
    /// Records have arrived by way of [`Action::Mirror`].
    Progressed {
        /// Of the action.
        ticket: Ticket,
    },
    /// An action has come to its end.
    Ended {
        /// Of the action.
        ticket: Ticket,
        /// Which end.
        how: Ending,
    },
    /// The way to the source has changed: what is under way has to begin again.
    Reassert,
    /// An operator has a failed partition tried again.
    Recover,
    /// Time has passed.
    Tick,
}

/// Why a record was not written, or not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteRefusal {
    /// A leader in a later epoch has written: we lead no longer (`FENCED_LEADER_EPOCH`).
    NewerLeader,
    /// The record is not the one that we know (`FENCED_STATE_EPOCH`).
    NewerState,
    /// The records are not there yet (`COORDINATOR_LOAD_IN_PROGRESS`).
    Loading,
    /// No answer, or none that says whether it is kept.
    Unknown,
}

/// How an [`Action`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should. [`Action::Mirror`] has no such end.
    Done,
    /// The source took records back, and so did we: of [`Action::Mirror`] only, where the topic
    /// allows it (`mirror.support.unclean.leader.election`); elsewhere that is a failure.
    SourceTruncated,
    /// It could not be done.
    Failed {
        /// Why, in words.
        why: String,
        /// Whether it may go better another time.
        is_retryable: bool,
    },
}

/// What a state asks for. Each is safe to repeat, and replaces what was under way before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// `LOG_ALIGNMENT`: make the log agree with the source, on all replicas. What came from this
    /// source before stays, as far as the epochs agree.
    Align,
    /// `MIRRORING`: fetch.
    Mirror,
    /// `ULE_RECOVERY`: wait until no replica holds what the source took back.
    AwaitReplicas,
    /// `PAUSING`: fetch no more.
    Cease,
    /// `STOPPING`: fetch no more, put the position on record, end open transactions, hand over.
    Stop,
}

impl Action {
    /// What a state asks for, of those that ask for something.
    #[must_use]
    pub fn of(state: State) -> Option<Action> {
        match state {
            State::LogAlignment => Some(Action::Align),
            State::Mirroring => Some(Action::Mirror),
            State::UleRecovery => Some(Action::AwaitReplicas),
            State::Pausing => Some(Action::Cease),
            State::Stopping => Some(Action::Stop),
            State::EpochFencing | State::Paused | State::Stopped | State::Failed => None,
        }
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the partition's record.
    Read {
        /// For the answer.
        ticket: Ticket,
    },
    /// Write this record, unless another writer was faster: the one that is kept has a later
    /// leader epoch, or a later state epoch than `over`.
    Write {
        /// For the answer.
        ticket: Ticket,
        /// What to write.
        record: MirrorPartitionState,
        /// The state epoch that it follows.
        over: StateEpoch,
    },
    /// Carry this out; what was to be carried out before is to end.
    Act {
        /// For what comes of it.
        ticket: Ticket,
        /// What.
        action: Action,
    },
    /// Nothing before this moment, if nothing happens: then [`Input::Tick`].
    Wait {
        /// The moment.
        until: Instant,
    },
}
