//! The records that keep what is mirrored and where each partition of it is, as bytes.
//!
//! A record has a key and a value; no value takes back what the key had (a tombstone). Numbers are
//! big-endian. A key is its kind (i16), then fields whose texts have a length of two bytes. A value
//! is its version (i16, 0 so far), then fields with compact lengths, then tagged fields, which are
//! passed over; `?` may be none.
//!
//! ```text
//!    0 LastMirrorEpochs      mirror, topic id uuid, partition i32
//!        epoch i32, offset i64
//!    1 MirrorPartitionState  mirror, topic id uuid, partition i32
//!        state i8, leader epoch i32, state epoch i32, error?, retry i16, previous state i8
//! 1000 MirrorTopic           topic
//!        topic id uuid, mirror, desired state i8, partitions i32
//! 1001 ClusterMirror         mirror
//!        source's cluster id?, include [pattern], exclude [pattern], settings [name, value, tags]
//! 1002 HandOver              mirror, topic id uuid, partition i32
//!        topic id at the destination uuid, position i64, end i64, leader epoch there i32,
//!        late [broker i32]
//! 1003 WayBack               mirror, topic id uuid, partition i32
//!        topic id at the destination uuid, from i64, log start i64, source's epoch i32, aligned i8
//! ```
//!
//! The first two are records of KIP-1279's state topic, in its layout: −1 stands for no epoch, no
//! offset, no state, and for a failure that is not tried again. The others are our own, where the
//! KIP has records of the KRaft metadata log, which have no keys and take no texts of patterns that
//! hold a comma; a desired state is told by the number of the state that fulfils it.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod fields;

use std::collections::BTreeMap;

use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName};
use crate::protocol::{Malformed, Reader, Unread, Writer, written};

use super::lifecycle::{Desired, State};
use super::name::MirrorName;
use super::retry::Retry;
use fields::{
    cluster_mirror, hand_over, long_text, mirror_name, mirror_topic, nothing_left, partition_key,
    partition_state, position, put_hand_over, put_mirror, put_partition, put_position, put_state,
    put_topic, put_way_back, topic_name, way_back, whole,
};

const LAST_MIRROR_EPOCHS: i16 = 0;
const MIRROR_PARTITION_STATE: i16 = 1;
const MIRROR_TOPIC: i16 = 1_000;
const CLUSTER_MIRROR: i16 = 1_001;
const HAND_OVER: i16 = 1_002;
const WAY_BACK: i16 = 1_003;
const KINDS: [i16; 6] = [
    LAST_MIRROR_EPOCHS,
    MIRROR_PARTITION_STATE,
    MIRROR_TOPIC,
    CLUSTER_MIRROR,
    HAND_OVER,
    WAY_BACK,
];
/// The only version of every value.
const VERSION: i16 = 0;

/// Which partition of which mirror a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionKey {
    /// The mirror.
    pub mirror: MirrorName,
    /// The topic's id, at the source.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
}

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

/// Where a partition is.
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

/// Where a partition's log ended when it was stopped: what both sides have in common (LME, LMO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastMirrorEpochs {
    /// The source's leader epoch of the last record; NONE where there was no record.
    pub epoch: LeaderEpoch,
    /// The log end offset; none in records of an early form.
    pub offset: Option<Offset>,
}

/// What a partition is handed over with: its new leader is compared with that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// The topic's id at the destination.
    pub topic: TopicId,
    /// Where what was mirrored ended: it is of the stop with that position, and of no other.
    pub position: Offset,
    /// Where the log ends behind the markers of the stop.
    pub end: Offset,
    /// The leader epoch, at the destination, in which we led it.
    pub leader_epoch: LeaderEpoch,
    /// Who was not in sync, and is to have a replica again.
    pub late: Vec<BrokerId>,
}

/// What a partition is mirrored back with, onto a cluster that it had come from: below an offset
/// both sides have the same, and what the destination has from there on is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WayBack {
    /// The topic's id at the destination: with this record it is ours, whoever made it.
    pub topic: TopicId,
    /// Up to here both sides are the same: the other direction's LMO, or less where one of them
    /// has less.
    pub from: Offset,
    /// Where the destination's log began: brokers there have what lies below `from`, and we have
    /// not.
    pub log_start: Offset,
    /// The source's last leader epoch with records that is not above the one in which the other
    /// direction handed over; NONE where that is not known.
    pub epoch: LeaderEpoch,
    /// All that are in sync at the destination were seen to end at `from`, and records follow.
    pub is_aligned: bool,
}

/// A topic that belongs to a mirror, or did until it was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorTopic {
    /// Its id at the source; zero while it is not known.
    pub id: TopicId,
    /// The mirror.
    pub mirror: MirrorName,
    /// Where its partitions are wanted.
    pub desired: Desired,
    /// How many partitions it has; 0 while that is not known.
    pub partitions: u32,
}

/// A mirror, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterMirror {
    /// The cluster that it mirrors, once that is known.
    pub source_cluster_id: Option<String>,
    /// Patterns of topics to mirror.
    pub include: Vec<String>,
    /// Patterns of topics that are not mirrored all the same.
    pub exclude: Vec<String>,
    /// All other settings.
    pub settings: BTreeMap<String, String>,
}

/// A record: what it is about, and what it says; none takes it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Where a partition's log ended when it was stopped.
    Position(PartitionKey, Option<LastMirrorEpochs>),
    /// What a partition is handed over with.
    HandOver(PartitionKey, Option<HandOver>),
    /// What a partition is mirrored back with.
    WayBack(PartitionKey, Option<WayBack>),
    /// Where a partition is.
    State(PartitionKey, Option<MirrorPartitionState>),
    /// A topic of a mirror.
    Topic(TopicName, Option<MirrorTopic>),
    /// A mirror.
    Mirror(MirrorName, Option<ClusterMirror>),
}

/// Bytes that are no record that we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// They are no record at all.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Of a kind that nobody has told us of.
    #[error("a record of kind {kind}, which this twinlog does not know")]
    Kind {
        /// Its kind.
        kind: i16,
    },
    /// In a version that nobody has told us of.
    #[error("a record of kind {kind} in version {version}; {VERSION} is the newest known")]
    Version {
        /// Its kind.
        kind: i16,
        /// Its version.
        version: i16,
    },
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// The bytes are no record, or one of a kind or version that we do not know.
    pub fn read(key: &[u8], value: Option<&[u8]>) -> Result<Record, RecordFault> {
        let mut reader = Reader::new(key);
        let kind = whole(reader.i16().map_err(Unread::from), "a record's key")?;
        let about = |reader: &mut Reader<'_>| match kind {
            LAST_MIRROR_EPOCHS => Ok(Record::Position(partition_key(reader)?, None)),
            MIRROR_PARTITION_STATE => Ok(Record::State(partition_key(reader)?, None)),
            HAND_OVER => Ok(Record::HandOver(partition_key(reader)?, None)),
            WAY_BACK => Ok(Record::WayBack(partition_key(reader)?, None)),
            MIRROR_TOPIC => Ok(Record::Topic(topic_name(long_text(reader)?)?, None)),
            _ => Ok(Record::Mirror(mirror_name(long_text(reader)?)?, None)),
        };
        if !KINDS.contains(&kind) {
            return Err(RecordFault::Kind { kind });
        }
        let record = whole(about(&mut reader), "a record's key")?;
        nothing_left(&reader)?;
        match value {
            None => Ok(record),
            Some(value) => record.with(kind, value),
        }
    }

    fn with(self, kind: i16, value: &[u8]) -> Result<Record, RecordFault> {
        const FIELD: &str = "a record's value";
        let mut reader = Reader::new(value);
        let version = whole(reader.i16().map_err(Unread::from), FIELD)?;
        if version != VERSION {
            return Err(RecordFault::Version { kind, version });
        }
        let read = |reader: &mut Reader<'_>| {
            let record = match self {
                Record::Position(key, _) => Record::Position(key, Some(position(reader)?)),
                Record::HandOver(key, _) => Record::HandOver(key, Some(hand_over(reader)?)),
                Record::WayBack(key, _) => Record::WayBack(key, Some(way_back(reader)?)),
                Record::State(key, _) => Record::State(key, Some(partition_state(reader)?)),
                Record::Topic(name, _) => Record::Topic(name, Some(mirror_topic(reader)?)),
                Record::Mirror(name, _) => Record::Mirror(name, Some(cluster_mirror(reader)?)),
            };
            reader.tagged(|_, _| Ok(()))?;
            Ok(record)
        };
        let record = whole(read(&mut reader), FIELD)?;
        nothing_left(&reader)?;
        Ok(record)
    }

    /// The key's bytes.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        written(|writer| match self {
            Record::Position(key, _) => put_partition(writer, LAST_MIRROR_EPOCHS, key),
            Record::HandOver(key, _) => put_partition(writer, HAND_OVER, key),
            Record::WayBack(key, _) => put_partition(writer, WAY_BACK, key),
            Record::State(key, _) => put_partition(writer, MIRROR_PARTITION_STATE, key),
            Record::Topic(name, _) => {
                writer.i16(MIRROR_TOPIC);
                writer.string(name.as_str());
            }
            Record::Mirror(name, _) => {
                writer.i16(CLUSTER_MIRROR);
                writer.string(name.as_str());
            }
        })
    }

    /// The value's bytes; none for a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<Vec<u8>> {
        let value = |put: &dyn Fn(&mut Writer<'_>)| {
            written(|writer| {
                writer.i16(VERSION);
                put(writer);
                writer.no_tags();
            })
        };
        Some(match self {
            Record::Position(_, said) => {
                let said = said.as_ref()?;
                value(&|writer| put_position(writer, said))
            }
            Record::HandOver(_, said) => {
                let said = said.as_ref()?;
                value(&|writer| put_hand_over(writer, said))
            }
            Record::WayBack(_, said) => {
                let said = said.as_ref()?;
                value(&|writer| put_way_back(writer, said))
            }
            Record::State(_, said) => {
                let said = said.as_ref()?;
                value(&|writer| put_state(writer, said))
            }
            Record::Topic(_, said) => {
                let said = said.as_ref()?;
                value(&|writer| put_topic(writer, said))
            }
            Record::Mirror(_, said) => {
                let said = said.as_ref()?;
                value(&|writer| put_mirror(writer, said))
            }
        })
    }

    /// The same record taken back.
    #[must_use]
    pub fn tombstone(self) -> Record {
        match self {
            Record::Position(key, _) => Record::Position(key, None),
            Record::HandOver(key, _) => Record::HandOver(key, None),
            Record::WayBack(key, _) => Record::WayBack(key, None),
            Record::State(key, _) => Record::State(key, None),
            Record::Topic(name, _) => Record::Topic(name, None),
            Record::Mirror(name, _) => Record::Mirror(name, None),
        }
    }
}

#[cfg(test)]
mod tests;
