//! The Fetch request of a consumer that reads everything up to the high watermark.

use crate::model::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::header::set_length;
use crate::protocol::primitive::Writer;

/// The replica id of whoever is no broker.
const CONSUMER: i32 = -1;
const READ_UNCOMMITTED: i8 = 0;
/// Session 0 with epoch −1: no incremental session is wanted.
const NO_SESSION: (i32, i32) = (0, -1);

/// What is asked of one broker at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// How long the broker may wait for `min_bytes`, in ms.
    pub max_wait_ms: i32,
    /// Answer as soon as so many bytes are there.
    pub min_bytes: i32,
    /// No more than this, except that one whole batch is always given.
    pub max_bytes: i32,
}

/// One partition in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// The leader's epoch as we know it, so that another leader refuses.
    pub leader_epoch: LeaderEpoch,
    /// The first offset that is wanted.
    pub fetch_offset: Offset,
    /// The epoch of the last batch that we hold, so that the broker sees a divergence.
    pub last_fetched_epoch: LeaderEpoch,
    /// No more than this, with the same exception.
    pub max_bytes: i32,
}

/// Appends a whole request frame to `out`, length included. Partitions of one topic stand together
/// where they come one after the other.
pub fn write_request(
    version: i16,
    correlation: i32,
    client_id: &str,
    ask: Ask,
    partitions: &[AskedPartition],
    out: &mut Vec<u8>,
) {
    assert!(
        (super::VERSION_MIN..=super::VERSION_MAX).contains(&version),
        "version {version}"
    );
    let start = out.len();
    let mut to = Writer::new(out);
    to.i32(0);
    to.i16(super::API_KEY);
    to.i16(version);
    to.i32(correlation);
    to.string(client_id);
    to.no_tags();
    if version < 15 {
        to.i32(CONSUMER);
    }
    to.i32(ask.max_wait_ms);
    to.i32(ask.min_bytes);
    to.i32(ask.max_bytes);
    to.i8(READ_UNCOMMITTED);
    to.i32(NO_SESSION.0);
    to.i32(NO_SESSION.1);
    write_topics(&mut to, partitions);
    // No forgotten topics, an empty rack, no tags.
    to.compact(0);
    to.compact(0);
    to.no_tags();
    set_length(out, start, 0);
}

fn write_topics(to: &mut Writer<'_>, partitions: &[AskedPartition]) {
    let same_topic = |one: &AskedPartition, next: &AskedPartition| one.topic == next.topic;
    to.compact(partitions.chunk_by(same_topic).count());
    for topic in partitions.chunk_by(same_topic) {
        let id = topic
            .first()
            .map(|partition| partition.topic)
            .unwrap_or_default();
        to.bytes(&id.bytes());
        to.compact(topic.len());
        for partition in topic {
            write_partition(to, partition);
        }
        to.no_tags();
    }
}

fn write_partition(to: &mut Writer<'_>, asked: &AskedPartition) {
    /// Only followers state their log start.
    const NO_LOG_START: i64 = -1;
    to.i32(asked.partition.value());
    to.i32(asked.leader_epoch.value());
    to.i64(asked.fetch_offset.value());
    to.i32(asked.last_fetched_epoch.value());
    to.i64(NO_LOG_START);
    to.i32(asked.max_bytes);
    to.no_tags();
}
