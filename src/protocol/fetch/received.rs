//! The Fetch request as a broker receives it.

use std::time::Duration;

use super::topics::Topics;
use super::{LAST_EPOCH_FROM, TOPIC_IDS_FROM, VERSION_MAX};
use crate::model::{
    BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName,
};
use crate::protocol::primitive::{Malformed, Reader, Unread};

/// What somebody wants to have read. Bounds below zero count as zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// The broker that follows; none where a consumer asks.
    pub replica: Option<BrokerId>,
    /// In which life it follows; none where it does not say.
    pub replica_epoch: BrokerEpoch,
    /// How long to wait until `min_bytes` are there.
    pub max_wait: Duration,
    /// Answer as soon as so many bytes are there.
    pub min_bytes: usize,
    /// No more than this, except that one whole batch is always given.
    pub max_bytes: usize,
    /// Whether records of open transactions are to be held back.
    pub read_committed: bool,
    /// The incremental session; 0 for none.
    pub session_id: i32,
    /// Its epoch: 0 begins one, −1 ends it, everything else goes on with it.
    pub session_epoch: i32,
    /// What is wanted, in the order of the request.
    pub partitions: Vec<FetchPartition>,
    /// What an incremental session is to leave out from now on.
    pub forgotten: Vec<(TopicId, PartitionIndex)>,
    /// The names that an older version has in the place of ids, each with the id that stands for
    /// it above ([`TopicId::of_name`]).
    pub named: Topics,
}

/// One partition of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// The leader's epoch as the asker knows it.
    pub leader_epoch: LeaderEpoch,
    /// The first offset that is wanted; none where it is negative and lies in no log.
    pub fetch_offset: Option<Offset>,
    /// The epoch of the last batch that the asker holds.
    pub last_fetched_epoch: LeaderEpoch,
    /// Where a follower's log begins.
    pub log_start: Option<Offset>,
    /// No more than this, with the same exception.
    pub max_bytes: usize,
}

const READ_COMMITTED: i8 = 1;
/// The replica's id moved into a tagged field.
const REPLICA_STATE_FROM: i16 = 15;
/// Five numbers of four and eight bytes, tags.
const PARTITION_BYTES_MIN: usize = 33;

/// Reads a request of version 12 or above; `bytes` begin behind the request's header and end with
/// its frame. What is allocated is in proportion to them.
///
/// # Errors
/// The bytes are not such a request.
pub fn read_request(version: i16, bytes: &[u8]) -> Result<FetchRequest, Malformed> {
    let versions = LAST_EPOCH_FROM..=VERSION_MAX;
    assert!(versions.contains(&version), "version {version}");
    let mut reader = Reader::new(bytes);
    match request(version, &mut reader) {
        Ok(request) => match reader.left() {
            0 => Ok(request),
            left => Err(Malformed::LeftOver { left }),
        },
        Err(Unread::Malformed(fault)) => Err(fault),
        Err(Unread::Short) => Err(Malformed::BeyondFrame {
            field: "a Fetch request",
        }),
    }
}

fn request(version: i16, reader: &mut Reader<'_>) -> Result<FetchRequest, Unread> {
    let (mut replica, mut replica_epoch) = (-1, -1);
    if version < REPLICA_STATE_FROM {
        replica = reader.i32()?;
    }
    let max_wait_ms = u64::try_from(reader.i32()?).unwrap_or(0);
    let (min_bytes, max_bytes) = (bound(reader.i32()?), bound(reader.i32()?));
    let read_committed = reader.i8()? == READ_COMMITTED;
    let (session_id, session_epoch) = (reader.i32()?, reader.i32()?);
    let mut named = Topics::default();
    let partitions = partitions(version, reader, &mut named)?;
    let forgotten = forgotten(version, reader, &mut named)?;
    let rack = reader.compact("the length of a rack")?.unwrap_or(0);
    let _rack = reader.bytes(rack)?;
    reader.tagged(|tag, mut field| {
        if tag == 1 && version >= REPLICA_STATE_FROM {
            replica = field.i32()?;
            replica_epoch = field.i64()?;
        }
        Ok(())
    })?;
    Ok(FetchRequest {
        replica: (replica >= 0).then_some(BrokerId(replica)),
        replica_epoch: BrokerEpoch::new(replica_epoch),
        max_wait: Duration::from_millis(max_wait_ms),
        min_bytes,
        max_bytes,
        read_committed,
        session_id,
        session_epoch,
        partitions,
        forgotten,
        named,
    })
}

fn partitions(
    version: i16,
    reader: &mut Reader<'_>,
    named: &mut Topics,
) -> Result<Vec<FetchPartition>, Unread> {
    let mut wanted = Vec::new();
    for _ in 0..count(reader, "a count of topics", topic_bytes_min(version))? {
        let topic = topic(version, reader, named)?;
        for _ in 0..count(reader, "a count of partitions", PARTITION_BYTES_MIN)? {
            wanted.push(partition(topic, reader)?);
        }
        reader.tagged(|_, _| Ok(()))?;
    }
    Ok(wanted)
}

fn partition(topic: TopicId, reader: &mut Reader<'_>) -> Result<FetchPartition, Unread> {
    let partition = FetchPartition {
        topic,
        partition: index(reader)?,
        leader_epoch: LeaderEpoch::new(reader.i32()?),
        fetch_offset: Offset::from_wire(reader.i64()?),
        last_fetched_epoch: LeaderEpoch::new(reader.i32()?),
        log_start: Offset::from_wire(reader.i64()?),
        max_bytes: bound(reader.i32()?),
    };
    reader.tagged(|_, _| Ok(()))?;
    Ok(partition)
}

fn forgotten(
    version: i16,
    reader: &mut Reader<'_>,
    named: &mut Topics,
) -> Result<Vec<(TopicId, PartitionIndex)>, Unread> {
    let mut forgotten = Vec::new();
    let least = topic_bytes_min(version);
    for _ in 0..count(reader, "a count of forgotten topics", least)? {
        let topic = topic(version, reader, named)?;
        for _ in 0..count(reader, "a count of forgotten partitions", size_of::<i32>())? {
            forgotten.push((topic, index(reader)?));
        }
        reader.tagged(|_, _| Ok(()))?;
    }
    Ok(forgotten)
}

/// A topic's id, or what stands for its name.
fn topic(version: i16, reader: &mut Reader<'_>, named: &mut Topics) -> Result<TopicId, Unread> {
    if version >= TOPIC_IDS_FROM {
        return Ok(TopicId::new(reader.uuid()?));
    }
    let field = "the name of a topic";
    let text = reader.text(field)?.unwrap_or_default();
    let value = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let name = TopicName::new(text).ok_or(Malformed::Impossible { field, value })?;
    let id = TopicId::of_name(&name);
    named.insert(id, &name);
    Ok(id)
}

fn index(reader: &mut Reader<'_>) -> Result<PartitionIndex, Unread> {
    let index = reader.i32()?;
    PartitionIndex::new(index).ok_or_else(|| {
        Unread::Malformed(Malformed::Impossible {
            field: "a partition",
            value: i64::from(index),
        })
    })
}

/// Id or a name of one letter, count of partitions, tags.
fn topic_bytes_min(version: i16) -> usize {
    if version >= TOPIC_IDS_FROM { 18 } else { 4 }
}

/// A count of elements that have `least` bytes each, which all have to be there.
fn count(reader: &mut Reader<'_>, field: &'static str, least: usize) -> Result<usize, Unread> {
    let count = reader.compact(field)?.unwrap_or(0);
    if count.saturating_mul(least) > reader.left() {
        let value = i64::try_from(count).unwrap_or(i64::MAX);
        return Err(Malformed::Impossible { field, value }.into());
    }
    Ok(count)
}

fn bound(stated: i32) -> usize {
    usize::try_from(stated).unwrap_or(0)
}

#[cfg(test)]
mod tests;
