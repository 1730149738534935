//! `OffsetForLeaderEpoch` in every version.

use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{self, OffsetForLeaderEpochRequest};

use super::*;
use crate::protocol::ErrorCode;

/// Asks where `epoch` ends; error, epoch and end come back.
fn end_of(
    version: i16,
    topic: &'static str,
    partition: i32,
    leader: i32,
    epoch: i32,
) -> (ErrorCode, i32, i64) {
    let asked = OffsetForLeaderPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(leader)
        .with_leader_epoch(epoch);
    let asked = OffsetForLeaderTopic::default()
        .with_topic(messages::TopicName(StrBytes::from_static_str(topic)))
        .with_partitions(vec![asked]);
    let mut request = OffsetForLeaderEpochRequest::default().with_topics(vec![asked]);
    if version >= 3 {
        request.replica_id = (-1).into();
    }
    let answer = ask(&server(), version, &request);
    let told = &answer.topics[0];
    assert_eq!(&*told.topic, topic);
    let end = &told.partitions[0];
    assert_eq!(end.partition, partition);
    (ErrorCode(end.error_code), end.leader_epoch, end.end_offset)
}

#[test]
fn ends_are_told_in_every_version() {
    for version in 2..=4 {
        for (epoch, told, end) in [
            (5, 5, 25),
            (4, 2, 18),
            (2, 2, 18),
            (1, 1, 10),
            (6, -1, -1),
            (-1, -1, -1),
            (i32::MIN, -1, -1),
        ] {
            let expected = (ErrorCode::NONE, told, end);
            assert_eq!(end_of(version, "orders", 0, -1, epoch), expected);
        }
    }
}

#[test]
fn unknown_partitions_and_leaders_are_told() {
    for version in 2..=4 {
        let refused = |error| (error, -1, -1);
        let unknown = refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(end_of(version, "nowhere", 0, -1, 2), unknown);
        assert_eq!(end_of(version, "orders", 2, -1, 2), unknown);
        assert_eq!(end_of(version, "orders", -1, -1, 2), unknown);
        let fenced = refused(ErrorCode::FENCED_LEADER_EPOCH);
        assert_eq!(end_of(version, "orders", 0, EPOCH - 1, 2), fenced);
        let ahead = refused(ErrorCode::UNKNOWN_LEADER_EPOCH);
        assert_eq!(end_of(version, "orders", 0, EPOCH + 1, 2), ahead);
    }
}
