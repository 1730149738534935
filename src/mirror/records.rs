//! The records that keep where each partition is.

use crate::model::LeaderEpoch;

use super::lifecycle::State;
use super::retry::Retry;

/// How often a partition's record has been written; tells the newer writer from the older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateEpoch(i32);

impl StateEpoch {
    /// Nothing was written yet.
    pub const FIRST: StateEpoch = StateEpoch(0);

    /// An epoch as stated in a record; `None` where it is negative.
    #[must_use]
    pub fn from_wire(epoch: i32) -> Option<StateEpoch> {
        (epoch >= 0).then_some(StateEpoch(epoch))
    }

    /// The number itself.
    #[must_use]
    pub fn value(self) -> i32 {
        self.0
    }

    /// The epoch after the next write. It stays where it can count no further: more writes than
    /// that come out of a damaged record only, whose writer is then told from no other.
    #[must_use]
    pub fn next(self) -> StateEpoch {
        StateEpoch(self.0.saturating_add(1))
    }
}

/// Where a partition is: the value of the KIP's record of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorPartitionState {
    /// Its state.
    pub state: State,
    /// The highest leader epoch at the destination that wrote one of its records.
    pub leader_epoch: LeaderEpoch,
    /// How often it was written.
    pub state_epoch: StateEpoch,
    /// What went wrong last, until records arrive again.
    pub error: Option<String>,
    /// How often it went wrong since records last arrived.
    pub retry: Retry,
    /// The state before this one.
    pub previous: Option<State>,
}

impl MirrorPartitionState {
    /// The first record of a partition; who writes it adds the epochs.
    #[must_use]
    pub fn begun(state: State) -> MirrorPartitionState {
        MirrorPartitionState {
            state,
            leader_epoch: LeaderEpoch::NONE,
            state_epoch: StateEpoch::FIRST,
            error: None,
            retry: Retry::NONE,
            previous: None,
        }
    }
}
