//! Requests that are cut, damaged, too large or nonsense.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    self, ApiVersionsRequest, DescribeClusterRequest, DescribeConfigsRequest, FetchRequest,
    ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
};
use proptest::prelude::*;

use super::*;
use crate::protocol::Malformed;
use crate::protocol::versions::{METADATA, TO_CONSUMERS};

fn orders() -> messages::TopicName {
    messages::TopicName(StrBytes::from_static_str("orders"))
}

/// A request with something in each of its lists, for every API and version.
fn samples() -> Vec<Vec<u8>> {
    let software = StrBytes::from_static_str("x");
    let mut samples = Vec::new();
    for api in TO_CONSUMERS {
        for version in api.oldest..=api.newest {
            samples.push(match api.key {
                1 => frame(version, &fetch()),
                2 => frame(version, &list_offsets()),
                3 => frame(version, &metadata()),
                18 if version < 3 => frame(version, &ApiVersionsRequest::default()),
                18 => {
                    let request = ApiVersionsRequest::default()
                        .with_client_software_name(software.clone())
                        .with_client_software_version(software.clone());
                    frame(version, &request)
                }
                23 => frame(version, &epoch_ends(version)),
                32 => frame(version, &configs()),
                60 => frame(version, &DescribeClusterRequest::default()),
                other => panic!("no sample of {other}"),
            });
        }
    }
    samples
}

fn fetch() -> FetchRequest {
    let partition = FetchPartition::default().with_fetch_offset(12);
    let topic = FetchTopic::default()
        .with_topic_id(uuid::Uuid::from_bytes(ORDERS.bytes()))
        .with_partitions(vec![partition.clone(), partition]);
    FetchRequest::default().with_topics(vec![topic])
}

fn list_offsets() -> ListOffsetsRequest {
    let topic = ListOffsetsTopic::default()
        .with_name(orders())
        .with_partitions(vec![ListOffsetsPartition::default(); 2]);
    ListOffsetsRequest::default().with_topics(vec![topic])
}

fn metadata() -> MetadataRequest {
    let topic = MetadataRequestTopic::default().with_name(Some(orders()));
    MetadataRequest::default().with_topics(Some(vec![topic; 2]))
}

fn epoch_ends(version: i16) -> OffsetForLeaderEpochRequest {
    let topic = OffsetForLeaderTopic::default()
        .with_topic(orders())
        .with_partitions(vec![OffsetForLeaderPartition::default(); 2]);
    let mut request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
    if version >= 3 {
        request.replica_id = (-1).into();
    }
    request
}

fn configs() -> DescribeConfigsRequest {
    let keys = vec![StrBytes::from_static_str("retention.ms")];
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_static_str("orders"))
        .with_configuration_keys(Some(keys));
    DescribeConfigsRequest::default().with_resources(vec![resource; 2])
}

#[test]
fn samples_are_answered() {
    for sample in samples() {
        let reply = server().answer(&sample, &epochs);
        assert!(!matches!(reply, Reply::Close(_)), "{reply:?}");
    }
}

#[test]
fn requests_cut_anywhere_are_malformed() {
    let server = server();
    for sample in samples() {
        for end in 0..sample.len() {
            let reason = closed(&server, &sample[..end]);
            assert!(matches!(reason, CloseReason::Malformed(_)), "{reason:?}");
        }
        let longer = [&sample[..], &[0]].concat();
        let left = CloseReason::Malformed(Malformed::LeftOver { left: 1 });
        assert_eq!(closed(&server, &longer), left);
    }
}

#[test]
fn every_flipped_byte_ends_in_a_reply() {
    let server = server();
    let mut replies = [0; 2];
    for sample in samples() {
        for at in 0..sample.len() {
            for flip in [1, 0x7f, 0x80, 0xff] {
                let mut damaged = sample.clone();
                damaged[at] ^= flip;
                match server.answer(&damaged, &epochs) {
                    Reply::Close(_) => replies[1] += 1,
                    Reply::Ready(_) | Reply::Fetch(_) => replies[0] += 1,
                }
            }
        }
    }
    assert!(replies.iter().all(|count| *count > 0), "{replies:?}");
}

#[test]
fn counts_that_promise_the_world_are_refused_before_they_are_believed() {
    let header = |api_key: i16, version: i16| {
        let mut frame = [api_key.to_be_bytes(), version.to_be_bytes()].concat();
        // A correlation id, no client id.
        frame.extend_from_slice(&[0, 0, 0, 1, 0xff, 0xff]);
        frame
    };
    let field = "a count of elements";
    for version in METADATA.oldest..=METADATA.newest {
        let mut frame = header(METADATA.key, version);
        frame.extend_from_slice(&[0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        let value = i64::from(u32::MAX) - 1;
        let refused = Malformed::Impossible { field, value };
        assert_eq!(closed(&server(), &frame), CloseReason::Malformed(refused));
    }
    // ListOffsets 1: the replica's id, then the topics.
    let mut frame = header(2, 1);
    frame.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let value = i64::from(i32::MAX);
    let refused = Malformed::Impossible { field, value };
    assert_eq!(closed(&server(), &frame), CloseReason::Malformed(refused));
}

#[test]
fn large_requests_are_not_looked_at() {
    let (bytes, most) = (REQUEST_BYTES_MAX + 1, REQUEST_BYTES_MAX);
    let refused = CloseReason::Size { bytes, most };
    assert_eq!(closed(&server(), &vec![0; bytes]), refused);
    let looked_at = closed(&server(), &vec![0; most]);
    assert_eq!(looked_at, CloseReason::Api { api_key: 0 });
}

#[test]
fn texts_that_are_none_and_absent_names_are_refused() {
    let sample = frame(1, &list_offsets());
    let at = sample
        .windows(6)
        .position(|window| window == b"orders")
        .expect("its topic");
    let mut no_text = sample.clone();
    no_text[at] = 0xff;
    let mut no_name = sample;
    no_name[at - 2..at].copy_from_slice(&[0xff, 0xff]);
    no_name.drain(at..at + 6);
    for damaged in [no_text, no_name] {
        let reason = closed(&server(), &damaged);
        let refused = matches!(
            reason,
            CloseReason::Content {
                api_key: 2,
                version: 1,
                ..
            }
        );
        assert!(refused, "{reason:?}");
    }
}

proptest! {
    #[test]
    fn garbage_behind_a_header_ends_in_a_reply(
        api in 0usize..TO_CONSUMERS.len(), version in 0i16..20,
        garbage in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut frame = [TO_CONSUMERS[api].key.to_be_bytes(), version.to_be_bytes()].concat();
        frame.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0]);
        frame.extend_from_slice(&garbage);
        match server().answer(&frame, &epochs) {
            Reply::Ready(answer) => prop_assert!(answer.len() < 10_000),
            Reply::Fetch(needs) => prop_assert!(needs.ranges().len() < 10),
            Reply::Close(reason) => prop_assert!(!reason.to_string().is_empty()),
        }
    }
}
