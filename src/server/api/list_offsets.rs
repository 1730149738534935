//! `ListOffsets`: the ends of logs. Looking for a timestamp would take reading, and is refused.

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::{Call, CloseReason, Reply, Server};
use crate::model::{LeaderEpoch, Offset};
use crate::protocol::ErrorCode;
use crate::protocol::shape::Shape;
use crate::server::{Partition, Topic};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The earliest offset on the broker's own disks, where all of ours are.
const EARLIEST_LOCAL: i64 = -4;
/// The latest offset in remote storage, where nothing of ours is.
const LATEST_TIERED: i64 = -5;

const CONSUMER: i32 = -1;
const READ_COMMITTED: i8 = 1;
/// Isolation levels came with this version, leaders' epochs and timeouts with these.
const ISOLATION_FROM: i16 = 2;
const EPOCHS_FROM: i16 = 4;
const TIMEOUT_FROM: i16 = 10;

/// Partition and timestamp.
const PARTITION: &[Shape] = &[Shape::Bytes(12)];
/// Partition, leader's epoch and timestamp.
const PARTITION_WITH_EPOCH: &[Shape] = &[Shape::Bytes(16)];
const TOPIC: &[Shape] = &[Shape::Text, Shape::List(PARTITION)];
const TOPIC_WITH_EPOCHS: &[Shape] = &[Shape::Text, Shape::List(PARTITION_WITH_EPOCH)];

/// Up to where the asker may see, and how it was asked.
#[derive(Clone, Copy)]
struct Asker {
    replica: i32,
    isolation: i8,
    version: i16,
}

pub(super) fn answer(server: &Server, call: &Call<'_>) -> Result<Reply, CloseReason> {
    let version = call.version;
    let topic = match version {
        ..EPOCHS_FROM => TOPIC,
        _ => TOPIC_WITH_EPOCHS,
    };
    let shape = [
        // The replica's id, and the isolation level.
        Shape::Bytes(if version < ISOLATION_FROM { 4 } else { 5 }),
        Shape::List(topic),
        // How long we may take.
        Shape::Bytes(if version < TIMEOUT_FROM { 0 } else { 4 }),
    ];
    let request: ListOffsetsRequest = call.request(&shape)?;
    let asker = Asker {
        replica: request.replica_id.0,
        isolation: request.isolation_level,
        version,
    };
    let topics = request
        .topics
        .into_iter()
        .map(|asked| of_topic(server, asked, asker))
        .collect();
    call.ready(&ListOffsetsResponse::default().with_topics(topics))
}

fn of_topic(server: &Server, asked: ListOffsetsTopic, asker: Asker) -> ListOffsetsTopicResponse {
    let topic = server.by_name(&asked.name);
    let partitions = asked
        .partitions
        .iter()
        .map(|partition| of_partition(topic, partition, asker))
        .collect();
    ListOffsetsTopicResponse::default()
        .with_name(asked.name)
        .with_partitions(partitions)
}

fn of_partition(
    topic: Option<&Topic>,
    asked: &ListOffsetsPartition,
    asker: Asker,
) -> ListOffsetsPartitionResponse {
    let answer = ListOffsetsPartitionResponse::default()
        .with_partition_index(asked.partition_index)
        .with_timestamp(-1)
        .with_offset(-1)
        .with_leader_epoch(LeaderEpoch::NONE.value());
    match found(topic, asked, asker) {
        Ok(None) => answer,
        Ok(Some((offset, epoch))) => {
            let answer = answer.with_offset(offset.value());
            match asker.version {
                ..EPOCHS_FROM => answer,
                _ => answer.with_leader_epoch(epoch.value()),
            }
        }
        Err(error) => answer.with_error_code(error.0),
    }
}

/// An offset with its leader's epoch where that is known; nothing where there is none to tell.
fn found(
    topic: Option<&Topic>,
    asked: &ListOffsetsPartition,
    asker: Asker,
) -> Result<Option<(Offset, LeaderEpoch)>, ErrorCode> {
    let partition = topic
        .and_then(|topic| topic.partition(asked.partition_index))
        .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    partition.led_in(LeaderEpoch::new(asked.current_leader_epoch))?;
    match asked.timestamp {
        LATEST => Ok(Some((latest(partition, asker), partition.leader_epoch))),
        EARLIEST | EARLIEST_LOCAL => Ok(Some((partition.watermarks.log_start, LeaderEpoch::NONE))),
        LATEST_TIERED => Ok(None),
        _ => Err(ErrorCode::UNSUPPORTED_VERSION),
    }
}

/// Only consumers are bound by what is visible.
fn latest(partition: &Partition, asker: Asker) -> Offset {
    let marks = &partition.watermarks;
    match (asker.replica, asker.isolation) {
        (CONSUMER, READ_COMMITTED) => marks.last_stable,
        (CONSUMER, _) => marks.high_watermark,
        _ => marks.log_end,
    }
}
