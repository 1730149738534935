//! `ListOffsets`: the ends of logs. Looking for a timestamp would take reading, and is refused.

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::{Call, CloseReason, EpochEnds, Reply, Server};
use crate::model::{LeaderEpoch, Offset, PartitionIndex};
use crate::protocol::ErrorCode;
use crate::protocol::shape::Shape;
use crate::server::audience::Asker;
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

/// The newest version that the decoder knows; the one behind it has the same fields.
const DECODED_UNTIL: i16 = 10;

/// Up to where the asker may see, and how it was asked.
#[derive(Clone, Copy)]
struct Question<'a> {
    server: &'a Server,
    epochs: &'a dyn EpochEnds,
    replica: i32,
    isolation: i8,
    version: i16,
}

pub(super) fn answer(
    server: &Server,
    call: &Call<'_>,
    epochs: &dyn EpochEnds,
) -> Result<Reply, CloseReason> {
    let version = call.version.min(DECODED_UNTIL);
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
    let request: ListOffsetsRequest = call.request_as(version, &shape)?;
    let question = Question {
        server,
        epochs,
        replica: request.replica_id.0,
        isolation: request.isolation_level,
        version,
    };
    let topics = request.topics.into_iter();
    let topics = topics.map(|asked| question.of_topic(asked)).collect();
    call.ready_as(version, &ListOffsetsResponse::default().with_topics(topics))
}

impl Question<'_> {
    fn of_topic(self, asked: ListOffsetsTopic) -> ListOffsetsTopicResponse {
        let topic = self.server.by_name(&asked.name);
        let partitions = asked
            .partitions
            .iter()
            .map(|partition| self.of_partition(topic, partition))
            .collect();
        ListOffsetsTopicResponse::default()
            .with_name(asked.name)
            .with_partitions(partitions)
    }

    fn of_partition(
        self,
        topic: Option<&Topic>,
        asked: &ListOffsetsPartition,
    ) -> ListOffsetsPartitionResponse {
        let answer = ListOffsetsPartitionResponse::default()
            .with_partition_index(asked.partition_index)
            .with_timestamp(-1)
            .with_offset(-1)
            .with_leader_epoch(LeaderEpoch::NONE.value());
        match self.found(topic, asked) {
            Ok(None) => answer,
            Ok(Some((offset, epoch))) => {
                let answer = answer.with_offset(offset.value());
                match self.version {
                    ..EPOCHS_FROM => answer,
                    _ => answer.with_leader_epoch(epoch.value()),
                }
            }
            Err(error) => answer.with_error_code(error.0),
        }
    }

    /// An offset with its leader's epoch where that is known; nothing where there is none to tell.
    fn found(
        self,
        topic: Option<&Topic>,
        asked: &ListOffsetsPartition,
    ) -> Result<Option<(Offset, LeaderEpoch)>, ErrorCode> {
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let topic = topic.ok_or(unknown)?;
        let partition = topic.partition(asked.partition_index).ok_or(unknown)?;
        let index = PartitionIndex::new(asked.partition_index).ok_or(unknown)?;
        let meant = LeaderEpoch::new(asked.current_leader_epoch);
        self.server
            .admits(partition, meant, Asker::of(self.replica))?;
        match asked.timestamp {
            LATEST => Ok(Some((self.latest(partition), partition.leader_epoch))),
            EARLIEST | EARLIEST_LOCAL => {
                let start = partition.watermarks.log_start;
                let epoch = self.epochs.epoch_at(topic.id, index, start);
                Ok(Some((start, epoch)))
            }
            LATEST_TIERED => Ok(None),
            _ => Err(ErrorCode::UNSUPPORTED_VERSION),
        }
    }

    /// Only consumers are bound by what is visible.
    fn latest(self, partition: &Partition) -> Offset {
        let marks = &partition.watermarks;
        match (self.replica, self.isolation) {
            (CONSUMER, READ_COMMITTED) => marks.last_stable,
            (CONSUMER, _) => marks.high_watermark,
            _ => marks.log_end,
        }
    }
}
