//! `ListOffsets` in every version.

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{self, ListOffsetsRequest, ListOffsetsResponse};

use super::*;
use crate::protocol::ErrorCode;

const VERSIONS: std::ops::RangeInclusive<i16> = 1..=10;

/// Asks for one offset; error, offset and epoch come back.
fn one(version: i16, index: i32, epoch: i32, timestamp: i64) -> (ErrorCode, i64, i32) {
    answered(&asked(version, "orders", index, epoch, timestamp, (-1, 0)))
}

fn asked(
    version: i16,
    topic: &'static str,
    index: i32,
    epoch: i32,
    timestamp: i64,
    (replica, isolation): (i32, i8),
) -> ListOffsetsResponse {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(index)
        .with_current_leader_epoch(epoch)
        .with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default()
        .with_name(messages::TopicName(StrBytes::from_static_str(topic)))
        .with_partitions(vec![partition]);
    let mut request = ListOffsetsRequest::default()
        .with_replica_id(replica.into())
        .with_isolation_level(isolation)
        .with_topics(vec![topic]);
    if version >= 10 {
        request.timeout_ms = 1000;
    }
    ask(&server(), version, &request)
}

fn answered(answer: &ListOffsetsResponse) -> (ErrorCode, i64, i32) {
    let partition = &answer.topics[0].partitions[0];
    assert_eq!(partition.timestamp, -1);
    (
        ErrorCode(partition.error_code),
        partition.offset,
        partition.leader_epoch,
    )
}

#[test]
fn the_ends_are_told_in_every_version() {
    for version in VERSIONS {
        let epoch = if version < 4 { -1 } else { EPOCH };
        let none = ErrorCode::NONE;
        assert_eq!(one(version, 0, -1, -1), (none, 20, epoch), "{version}");
        assert_eq!(one(version, 0, -1, -2), (none, 10, -1));
        assert_eq!(one(version, 1, -1, -1), (none, 0, epoch));
        assert_eq!(one(version, 0, -1, -4), (none, 10, -1));
        assert_eq!(one(version, 0, -1, -5), (none, -1, -1));
    }
}

#[test]
fn who_sees_more_is_told_more() {
    let latest = |asker| answered(&asked(8, "orders", 0, -1, -1, asker)).1;
    assert_eq!(latest((-1, 0)), 20, "a consumer");
    assert_eq!(latest((-1, 1)), 15, "one that waits for transactions");
    assert_eq!(latest((3, 0)), 25, "a replica");
    assert_eq!(latest((-2, 0)), 25, "a debugger");
}

#[test]
fn timestamps_are_refused() {
    for version in VERSIONS {
        for timestamp in [-3, -6, 0, i64::MAX, i64::MIN] {
            let refused = (ErrorCode::UNSUPPORTED_VERSION, -1, -1);
            assert_eq!(one(version, 0, -1, timestamp), refused);
        }
    }
}

#[test]
fn unknown_partitions_and_leaders_are_told() {
    for version in VERSIONS {
        let unknown = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
        for index in [2, -1, i32::MIN, i32::MAX] {
            assert_eq!(one(version, index, -1, -1), unknown);
        }
        let absent = asked(version, "nowhere", 0, -1, -1, (-1, 0));
        assert_eq!(answered(&absent), unknown);
        assert_eq!(&*absent.topics[0].name, "nowhere");
    }
    for version in 4..=10 {
        let fenced = (ErrorCode::FENCED_LEADER_EPOCH, -1, -1);
        assert_eq!(one(version, 0, EPOCH - 1, -1), fenced);
        let ahead = (ErrorCode::UNKNOWN_LEADER_EPOCH, -1, -1);
        assert_eq!(one(version, 0, EPOCH + 1, -1), ahead);
        let same = (ErrorCode::NONE, 20, EPOCH);
        assert_eq!(one(version, 0, EPOCH, -1), same);
    }
}
