//! The states of a mirrored partition. The drawing below is complete; `allowed` is its only judge.

use std::fmt;

use super::records::MirrorPartitionState;
use super::retry::RetryOptions;

/// Where a mirrored partition is, in the words and numbers of KIP-1279.
///
/// ```text
///  none ──▶ LOG_ALIGNMENT ◀────────────────────────────────────── STOPPED
///                │ aligned                                       to start
///                ▼
///  ┌───────▶ MIRRORING ◀────────────────────── PAUSED
///  │           │  │  │          resumed          ▲
///  │           │  │  └────────▶ PAUSING ────────┘
///  │           │  │   to pause           fetcher gone
///  │           │  └───────────▶ ULE_RECOVERY ──────▶ MIRRORING
///  │           │   the source took records back; all replicas did
///  │           └──────────────▶ EPOCH_FENCING ─────▶ MIRRORING
///  │               never entered by us
///  │ again
///  │
/// FAILED ◀─── every state, and none
///  │
///  ├───────▶ LOG_ALIGNMENT, STOPPING: another try, or recover
///  ▼
/// STOPPING ──────▶ STOPPED
///  ▲       done
///  └── to stop: from every state but STOPPED
/// ```
///
/// Each state may also be written again. `EPOCH_FENCING` is there because others write it, and
/// never entered by us: batches are stamped with the destination's own leader epoch, so that no
/// epoch of the source can be ahead of it. Whoever finds it goes on with `MIRRORING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The local log is made to agree with the source.
    LogAlignment,
    /// The destination's leader epoch is raised above the source's.
    EpochFencing,
    /// The source took records back after an unclean election: all replicas have to.
    UleRecovery,
    /// Records are fetched.
    Mirroring,
    /// On the way to `Paused`.
    Pausing,
    /// Nothing is fetched; still read-only.
    Paused,
    /// On the way to `Stopped`.
    Stopping,
    /// No longer mirrored; writable.
    Stopped,
    /// An error is on record, to be tried again or not.
    Failed,
}

impl State {
    /// All of them, in the order of their numbers.
    pub const ALL: [State; 9] = [
        State::LogAlignment,
        State::EpochFencing,
        State::UleRecovery,
        State::Mirroring,
        State::Pausing,
        State::Paused,
        State::Stopping,
        State::Stopped,
        State::Failed,
    ];
    /// What stands for no state where one is told by its number.
    pub const UNKNOWN_ID: i8 = -1;
    /// What stands for no state where one is told by its name.
    pub const UNKNOWN_NAME: &'static str = "UNKNOWN";

    /// The KIP's number.
    #[must_use]
    pub fn id(self) -> i8 {
        match self {
            State::LogAlignment => 0,
            State::EpochFencing => 1,
            State::UleRecovery => 2,
            State::Mirroring => 3,
            State::Pausing => 4,
            State::Paused => 5,
            State::Stopping => 6,
            State::Stopped => 7,
            State::Failed => 8,
        }
    }

    /// The state of a number; `None` for every other number, [`State::UNKNOWN_ID`] included.
    #[must_use]
    pub fn from_id(id: i8) -> Option<State> {
        State::ALL.into_iter().find(|state| state.id() == id)
    }

    /// The KIP's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::LogAlignment => "LOG_ALIGNMENT",
            State::EpochFencing => "EPOCH_FENCING",
            State::UleRecovery => "ULE_RECOVERY",
            State::Mirroring => "MIRRORING",
            State::Pausing => "PAUSING",
            State::Paused => "PAUSED",
            State::Stopping => "STOPPING",
            State::Stopped => "STOPPED",
            State::Failed => "FAILED",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where an operator wants the partitions of a topic to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Desired {
    /// Fetching.
    Mirroring,
    /// Not fetching, and read-only.
    Paused,
    /// Writable.
    Stopped,
}

impl Desired {
    /// All of them.
    pub const ALL: [Desired; 3] = [Desired::Mirroring, Desired::Paused, Desired::Stopped];

    /// The state in which it is fulfilled.
    #[must_use]
    pub fn fulfilled(self) -> State {
        match self {
            Desired::Mirroring => State::Mirroring,
            Desired::Paused => State::Paused,
            Desired::Stopped => State::Stopped,
        }
    }
}

impl fmt::Display for Desired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fulfilled().fmt(f)
    }
}

/// Whether `to` may follow `from`: the drawing above, as a table.
#[must_use]
pub fn allowed(from: Option<State>, to: State) -> bool {
    use State::{
        EpochFencing, Failed, LogAlignment, Mirroring, Paused, Pausing, Stopped, Stopping,
        UleRecovery,
    };
    let Some(from) = from else {
        return matches!(to, LogAlignment | Failed);
    };
    from == to
        || match to {
            LogAlignment => matches!(from, Stopped | Failed),
            EpochFencing | UleRecovery | Pausing => from == Mirroring,
            Mirroring => matches!(
                from,
                LogAlignment | EpochFencing | UleRecovery | Paused | Failed
            ),
            Paused => from == Pausing,
            Stopping => from != Stopped,
            Stopped => from == Stopping,
            Failed => true,
        }
}

/// What is done with a partition that is where its record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It has to go to this state, which is allowed.
    Become(State),
    /// It stays, and what its state asks for is done; a failure is tried again in time.
    Stay,
}

/// Compares where a partition is with where it is wanted. The first row that fits:
///
/// | Record | Wanted | Decision |
/// |---|---|---|
/// | `FAILED`, not out of `STOPPING` | `STOPPED` | `STOPPING`: a failover waits for no failure |
/// | `FAILED` | any | stay: tried again in time, or until `recover` |
/// | `STOPPED` | `STOPPED` | stay |
/// | none | `STOPPED` | `LOG_ALIGNMENT`, only to go on to `STOPPING` |
/// | other | `STOPPED` | `STOPPING` |
/// | `MIRRORING` | `PAUSED` | `PAUSING` |
/// | `PAUSED` | `PAUSED` | stay |
/// | `PAUSED` | `MIRRORING` | `MIRRORING` |
/// | `EPOCH_FENCING` | any | `MIRRORING` |
/// | none, `STOPPED` | any | `LOG_ALIGNMENT` |
/// | other | any | stay: what is under way ends first |
///
/// The KIP's first row, tiered storage at the destination, is absent: a log of ours lies on local
/// disks whole, so that there is no tier that could hold what has to be truncated.
#[must_use]
pub fn decide(record: Option<&MirrorPartitionState>, desired: Desired) -> Decision {
    let next = match (record.map(|record| record.state), desired) {
        (Some(State::Failed), Desired::Stopped) if !has_failed_to_stop(record) => State::Stopping,
        (Some(State::Failed), _) => return Decision::Stay,
        (None, Desired::Stopped) => State::LogAlignment,
        (Some(State::Stopped | State::Stopping), Desired::Stopped) => return Decision::Stay,
        (Some(_), Desired::Stopped) => State::Stopping,
        (Some(State::Mirroring), Desired::Paused) => State::Pausing,
        (Some(State::Paused), Desired::Mirroring) => State::Mirroring,
        (Some(State::EpochFencing), _) => State::Mirroring,
        (None | Some(State::Stopped), _) => State::LogAlignment,
        _ => return Decision::Stay,
    };
    Decision::Become(next)
}

fn has_failed_to_stop(record: Option<&MirrorPartitionState>) -> bool {
    record.is_some_and(|record| record.previous == Some(State::Stopping))
}

/// Where a failed partition goes when it is tried again: where it was, or, if no arrow leads there,
/// the last place before it from which it comes there safely.
#[must_use]
pub fn resumed(previous: Option<State>) -> State {
    match previous {
        Some(State::Mirroring | State::Pausing | State::Paused) => State::Mirroring,
        Some(State::Stopping) => State::Stopping,
        // To mirror at once after ULE_RECOVERY would be too early: a replica may still hold what
        // the source took back. The alignment waits for all of them.
        None
        | Some(
            State::LogAlignment
            | State::EpochFencing
            | State::UleRecovery
            | State::Stopped
            | State::Failed,
        ) => State::LogAlignment,
    }
}

/// Whether a record says that nothing is tried any more until `recover`.
#[must_use]
pub fn is_terminal(record: &MirrorPartitionState, options: &RetryOptions) -> bool {
    record.state == State::Failed && options.is_exhausted(record.retry)
}

#[cfg(test)]
mod tests;
