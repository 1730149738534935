//! The log of all records, replayed: of each key the last record counts.
//!
//! It is a compacted log: records that a later one has replaced may be gone, so that neither their
//! order across keys nor the way from one state to the next can be relied on. What cannot be
//! understood ends the replay: a record of a newer twinlog may say what makes ours wrong.

use std::collections::BTreeMap;

use crate::model::Offset;

use super::partition::WriteRefusal;
use super::records::{
    HandOver, MirrorPartitionState, PartitionKey, Record, RecordFault, StateEpoch, WayBack,
};
use super::registry::{PartitionStates, Positions, Registry};
use super::selection::SelectionFault;

/// A log that cannot be replayed, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state log at offset {offset}: {why}")]
pub struct ReplayFault {
    /// Of the record.
    pub offset: Offset,
    /// What is wrong with it.
    pub why: ReplayFaultKind,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayFaultKind {
    /// It is none that we know.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// A mirror has a pattern that is none.
    #[error(transparent)]
    Pattern(#[from] SelectionFault),
    /// Offsets rise.
    #[error("it follows {after}")]
    Order {
        /// The offset before.
        after: Offset,
    },
}

type HandOvers = BTreeMap<PartitionKey, HandOver>;
type WaysBack = BTreeMap<PartitionKey, WayBack>;

/// All that the records say. Control owns it, and gives every record to it that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateLog {
    registry: Registry,
    states: PartitionStates,
    positions: Positions,
    hand_overs: HandOvers,
    ways_back: WaysBack,
    last: Option<Offset>,
}

impl StateLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> StateLog {
        StateLog::default()
    }

    /// What is mirrored.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Where partitions are.
    #[must_use]
    pub fn states(&self) -> &PartitionStates {
        &self.states
    }

    /// Where partitions were stopped.
    #[must_use]
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// What a partition is handed over with by its last stop.
    #[must_use]
    pub fn hand_over(&self, key: &PartitionKey) -> Option<&HandOver> {
        let position = self.positions.get(key)?.offset;
        let said = self.hand_overs.get(key)?;
        // Keys know nothing of each other: it may be left of an earlier stop.
        (position == Some(said.position)).then_some(said)
    }

    /// What a partition is mirrored back with, where it is.
    #[must_use]
    pub fn way_back(&self, key: &PartitionKey) -> Option<&WayBack> {
        self.ways_back.get(key)
    }

    /// The offset of the last record: what an operator who looks now has seen.
    #[must_use]
    pub fn last(&self) -> Option<Offset> {
        self.last
    }

    /// Takes in the record at `offset`, as it was read.
    ///
    /// # Errors
    /// It is none that we know, or does not follow the last one; nothing has changed.
    pub fn replay(
        &mut self,
        offset: Offset,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), ReplayFault> {
        let record = Record::read(key, value);
        let record = record.map_err(ReplayFaultKind::from);
        let applied = record.and_then(|record| self.take(offset, record));
        applied.map_err(|why| ReplayFault { offset, why })
    }

    /// Takes in a record of ours that is kept at `offset`.
    ///
    /// # Errors
    /// As [`StateLog::replay`].
    pub fn apply(&mut self, offset: Offset, record: Record) -> Result<(), ReplayFault> {
        let taken = self.take(offset, record);
        taken.map_err(|why| ReplayFault { offset, why })
    }

    fn take(&mut self, offset: Offset, record: Record) -> Result<(), ReplayFaultKind> {
        if let Some(after) = self.last.filter(|last| *last >= offset) {
            return Err(ReplayFaultKind::Order { after });
        }
        self.registry.apply(offset, &record)?;
        self.last = Some(offset);
        match record {
            Record::State(key, Some(said)) => {
                self.states.insert(key, said);
            }
            Record::State(key, None) => {
                self.states.remove(&key);
            }
            Record::Position(key, Some(said)) => {
                self.positions.insert(key, said);
            }
            Record::Position(key, None) => {
                self.positions.remove(&key);
            }
            Record::HandOver(key, Some(said)) => {
                self.hand_overs.insert(key, said);
            }
            Record::HandOver(key, None) => {
                self.hand_overs.remove(&key);
            }
            Record::WayBack(key, Some(said)) => {
                self.ways_back.insert(key, said);
            }
            Record::WayBack(key, None) => {
                self.ways_back.remove(&key);
            }
            Record::Topic(..) | Record::Mirror(..) => {}
        }
        Ok(())
    }

    /// Whether a partition's record may be written over the one that is kept; why not otherwise.
    /// [`super::Step::Write`] asks for both.
    #[must_use]
    pub fn fences(
        &self,
        key: &PartitionKey,
        record: &MirrorPartitionState,
        over: StateEpoch,
    ) -> Option<WriteRefusal> {
        let kept = self.states.get(key)?;
        if kept.leader_epoch > record.leader_epoch {
            return Some(WriteRefusal::NewerLeader);
        }
        (kept.state_epoch > over).then_some(WriteRefusal::NewerState)
    }

    /// Every record that counts, in the order in which an empty log takes them: what a compacted
    /// log has to hold.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let states = self.states.iter();
        let states = states.map(|(key, said)| Record::State(key.clone(), Some(said.clone())));
        let positions = self.positions.iter();
        let positions = positions.map(|(key, said)| Record::Position(key.clone(), Some(*said)));
        let hand_overs = self.hand_overs.iter();
        let hand_overs =
            hand_overs.map(|(key, said)| Record::HandOver(key.clone(), Some(said.clone())));
        let ways_back = self.ways_back.iter();
        let ways_back = ways_back.map(|(key, said)| Record::WayBack(key.clone(), Some(*said)));
        let of_partitions = states.chain(positions).chain(hand_overs).chain(ways_back);
        self.registry.records().chain(of_partitions)
    }
}

#[cfg(test)]
mod tests;
