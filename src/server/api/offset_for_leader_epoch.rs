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
use crate::server::audience::Asker;
use crate::server::{EpochEnd, Topic};

/// Partition, the leader's epoch as the asker knows it, the epoch whose end is wanted.
const PARTITION: &[Shape] = &[Shape::Bytes(12)];
const TOPIC: &[Shape] = &[Shape::Text, Shape::List(PARTITION)];
/// The replica's id came with this version.
const REPLICA_FROM: i16 = 3;

#[derive(Clone, Copy)]
struct Question<'a> {
    server: &'a Server,
    epochs: &'a dyn EpochEnds,
    asker: Asker,
}

pub(super) fn answer(
    server: &Server,
    call: &Call<'_>,
    epochs: &dyn EpochEnds,
) -> Result<Reply, CloseReason> {
    let replica = Shape::Bytes(if call.version < REPLICA_FROM { 0 } else { 4 });
    let request: OffsetForLeaderEpochRequest = call.request(&[replica, Shape::List(TOPIC)])?;
    let question = Question {
        server,
        epochs,
        asker: Asker::of(request.replica_id.0),
    };
    let topics = request.topics.into_iter();
    let topics = topics.map(|asked| question.of_topic(asked)).collect();
    call.ready(&OffsetForLeaderEpochResponse::default().with_topics(topics))
}

impl Question<'_> {
    fn of_topic(self, asked: OffsetForLeaderTopic) -> OffsetForLeaderTopicResult {
        let topic = self.server.by_name(&asked.topic);
        let partitions = asked
            .partitions
            .iter()
            .map(|partition| self.of_partition(topic, partition))
            .collect();
        OffsetForLeaderTopicResult::default()
            .with_topic(asked.topic)
            .with_partitions(partitions)
    }

    fn of_partition(
        self,
        topic: Option<&Topic>,
        asked: &OffsetForLeaderPartition,
    ) -> EpochEndOffset {
        let answer = EpochEndOffset::default()
            .with_partition(asked.partition)
            .with_leader_epoch(LeaderEpoch::NONE.value())
            .with_end_offset(-1);
        match self.found(topic, asked) {
            Ok(None) => answer,
            Ok(Some(end)) => answer
                .with_leader_epoch(end.epoch.value())
                .with_end_offset(end.end.value()),
            Err(error) => answer.with_error_code(error.0),
        }
    }

    fn found(
        self,
        topic: Option<&Topic>,
        asked: &OffsetForLeaderPartition,
    ) -> Result<Option<EpochEnd>, ErrorCode> {
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let topic = topic.ok_or(unknown)?;
        let partition = topic.partition(asked.partition).ok_or(unknown)?;
        let index = PartitionIndex::new(asked.partition).ok_or(unknown)?;
        let meant = LeaderEpoch::new(asked.current_leader_epoch);
        self.server.admits(partition, meant, self.asker)?;
        let epoch = LeaderEpoch::new(asked.leader_epoch);
        if !epoch.is_some() {
            return Ok(None);
        }
        Ok(self.epochs.end_of(topic.id, index, epoch))
    }
}
