//! `OffsetForLeaderEpoch`: where leaders' epochs end, so that a reader sees where its log leaves
//! ours.

use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::{Call, CloseReason, EpochEnds, Reply, Server};
use crate::model::{LeaderEpoch, PartitionIndex};
use crate::protocol::ErrorCode;
use crate::protocol::shape::Shape;
use crate::server::{EpochEnd, Topic};

/// Partition, the leader's epoch as the asker knows it, the epoch whose end is wanted.
const PARTITION: &[Shape] = &[Shape::Bytes(12)];
const TOPIC: &[Shape] = &[Shape::Text, Shape::List(PARTITION)];
/// The replica's id came with this version.
const REPLICA_FROM: i16 = 3;

pub(super) fn answer(
    server: &Server,
    call: &Call<'_>,
    epochs: &dyn EpochEnds,
) -> Result<Reply, CloseReason> {
    let replica = Shape::Bytes(if call.version < REPLICA_FROM { 0 } else { 4 });
    let request: OffsetForLeaderEpochRequest = call.request(&[replica, Shape::List(TOPIC)])?;
    let topics = request
        .topics
        .into_iter()
        .map(|asked| of_topic(server, asked, epochs))
        .collect();
    call.ready(&OffsetForLeaderEpochResponse::default().with_topics(topics))
}

fn of_topic(
    server: &Server,
    asked: OffsetForLeaderTopic,
    epochs: &dyn EpochEnds,
) -> OffsetForLeaderTopicResult {
    let topic = server.by_name(&asked.topic);
    let partitions = asked
        .partitions
        .iter()
        .map(|partition| of_partition(topic, partition, epochs))
        .collect();
    OffsetForLeaderTopicResult::default()
        .with_topic(asked.topic)
        .with_partitions(partitions)
}

fn of_partition(
    topic: Option<&Topic>,
    asked: &OffsetForLeaderPartition,
    epochs: &dyn EpochEnds,
) -> EpochEndOffset {
    let answer = EpochEndOffset::default()
        .with_partition(asked.partition)
        .with_leader_epoch(LeaderEpoch::NONE.value())
        .with_end_offset(-1);
    match found(topic, asked, epochs) {
        Ok(None) => answer,
        Ok(Some(end)) => answer
            .with_leader_epoch(end.epoch.value())
            .with_end_offset(end.end.value()),
        Err(error) => answer.with_error_code(error.0),
    }
}

fn found(
    topic: Option<&Topic>,
    asked: &OffsetForLeaderPartition,
    epochs: &dyn EpochEnds,
) -> Result<Option<EpochEnd>, ErrorCode> {
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let topic = topic.ok_or(unknown)?;
    let partition = topic.partition(asked.partition).ok_or(unknown)?;
    let index = PartitionIndex::new(asked.partition).ok_or(unknown)?;
    partition.led_in(LeaderEpoch::new(asked.current_leader_epoch))?;
    let epoch = LeaderEpoch::new(asked.leader_epoch);
    if !epoch.is_some() {
        return Ok(None);
    }
    Ok(epochs.end_of(topic.id, index, epoch))
}
