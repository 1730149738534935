//! What the decoder reads is walked to its last byte first, and no count is believed.

use std::fmt::Debug;
use std::mem::size_of;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsResponse, ApiVersionsResponse, BrokerId, DescribeClusterResponse,
    DescribeConfigsResponse, DescribeLogDirsResponse, IncrementalAlterConfigsResponse,
    ListOffsetsResponse, MetadataResponse, OffsetForLeaderEpochResponse, TopicName,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;

use super::*;
use crate::protocol::shape::memory;
use crate::session::versions::ours;

pub(super) const CORRELATION: i32 = 77;

pub(super) fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn versions(broker: usize) -> ApiVersionsResponse {
    let api = ApiVersion::default().with_api_key(3).with_max_version(12);
    ApiVersionsResponse::default()
        .with_api_keys(vec![api; broker])
        .with_supported_features(vec![
            SupportedFeatureKey::default()
                .with_name(text("metadata.version"))
                .with_max_version(25);
            2
        ])
        .with_finalized_features_epoch(9)
        .with_finalized_features(vec![
            FinalizedFeatureKey::default()
                .with_name(text("kraft.version"));
            broker
        ])
        .with_zk_migration_ready(true)
}

fn metadata(partitions: usize) -> MetadataResponse {
    let broker = MetadataResponseBroker::default()
        .with_host(text("localhost"))
        .with_rack(Some(text("a rack")));
    let partition = MetadataResponsePartition::default()
        .with_replica_nodes(vec![BrokerId(1)])
        .with_isr_nodes(vec![BrokerId(1)]);
    let topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName(text("orders"))))
        .with_partitions(vec![partition; partitions]);
    MetadataResponse::default()
        .with_brokers(vec![broker.clone(), broker.with_rack(None)])
        .with_cluster_id(Some(text("a-cluster")))
        .with_topics(vec![topic; 2])
}

fn list_offsets(partitions: usize) -> ListOffsetsResponse {
    let topic = ListOffsetsTopicResponse::default()
        .with_name(TopicName(text("orders")))
        .with_partitions(vec![ListOffsetsPartitionResponse::default(); partitions]);
    ListOffsetsResponse::default().with_topics(vec![topic; 2])
}

fn epoch_ends(partitions: usize) -> OffsetForLeaderEpochResponse {
    let topic = OffsetForLeaderTopicResult::default()
        .with_topic(TopicName(text("orders")))
        .with_partitions(vec![EpochEndOffset::default(); partitions]);
    OffsetForLeaderEpochResponse::default().with_topics(vec![topic; 2])
}

fn settings(count: usize) -> DescribeConfigsResponse {
    let synonym = DescribeConfigsSynonym::default().with_name(text("log.cleanup.policy"));
    let setting = DescribeConfigsResourceResult::default()
        .with_name(text("cleanup.policy"))
        .with_value(Some(text("compact")))
        .with_synonyms(vec![synonym; 2])
        .with_documentation(None);
    let result = DescribeConfigsResult::default()
        .with_resource_name(text("orders"))
        .with_configs(vec![setting; count]);
    DescribeConfigsResponse::default().with_results(vec![result; 2])
}

fn reassigned(partitions: usize) -> AlterPartitionReassignmentsResponse {
    let partition = ReassignablePartitionResponse::default().with_error_message(None);
    let topic = ReassignableTopicResponse::default()
        .with_name(TopicName(text("orders")))
        .with_partitions(vec![partition; partitions]);
    AlterPartitionReassignmentsResponse::default()
        .with_error_message(None)
        .with_responses(vec![topic; 2])
}

fn set(count: usize) -> IncrementalAlterConfigsResponse {
    let response = AlterConfigsResourceResponse::default()
        .with_error_message(Some(text("a policy forbids it")))
        .with_resource_name(text("orders"));
    IncrementalAlterConfigsResponse::default().with_responses(vec![response; count])
}

fn described(brokers: usize) -> DescribeClusterResponse {
    let broker = DescribeClusterBroker::default()
        .with_host(text("localhost"))
        .with_rack(Some(text("a rack")));
    DescribeClusterResponse::default()
        .with_error_message(None)
        .with_cluster_id(text("a-cluster"))
        .with_brokers(vec![broker; brokers])
}

fn log_dirs(partitions: usize) -> DescribeLogDirsResponse {
    let partition = DescribeLogDirsPartition::default().with_partition_size(7);
    let topic = DescribeLogDirsTopic::default()
        .with_name(TopicName(text("orders")))
        .with_partitions(vec![partition; partitions]);
    let dir = DescribeLogDirsResult::default()
        .with_log_dir(text("/var/kafka"))
        .with_topics(vec![topic; 2]);
    DescribeLogDirsResponse::default().with_results(vec![dir; 2])
}

/// A frame as a broker sends it.
pub(super) fn frame<R: Answered>(answer: &impl Encodable, version: i16) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    frame.put_i32(CORRELATION);
    if R::Response::header_version(version) == 1 {
        frame.put_u8(0);
    }
    answer.encode(&mut frame, version).expect("it is sound");
    let length = i32::try_from(frame.len() - LENGTH_BYTES).expect("it is small");
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    frame.freeze()
}

/// `answer` makes an answer that grows by its argument.
pub(super) fn check_every_version<R: Answered>(answer: impl Fn(usize) -> R::Response)
where
    R::Response: Encodable + PartialEq + Debug + Clone,
{
    let (least, most) = ours(R::KEY, R::VERSIONS);
    for version in least..=most {
        for size in [0, 1, 3, 2000] {
            let whole = frame::<R>(&answer(size), version);
            let told = read::<R>(whole.clone(), version, CORRELATION).unwrap_or_else(|fault| {
                panic!("{size} elements in version {version}: {fault:?}");
            });
            assert_eq!(frame::<R>(&told, version), whole, "version {version}");
        }
        check_cut_and_longer::<R>(&frame::<R>(&answer(3), version), version);
        check_lies::<R>(&frame::<R>(&answer(3), version), version);
    }
}

fn check_cut_and_longer<R: Answered>(whole: &Bytes, version: i16)
where
    R::Response: Debug,
{
    for end in LENGTH_BYTES..whole.len() {
        let cut = read::<R>(whole.slice(..end), version, CORRELATION);
        let cut = cut.expect_err("bytes are missing");
        assert!(matches!(cut, AnswerFault::Malformed(_)), "{end}: {cut:?}");
    }
    let longer = Bytes::from([whole, &[0][..]].concat());
    let longer = read::<R>(longer, version, CORRELATION).expect_err("a byte is left");
    let left = Malformed::LeftOver { left: 1 };
    assert_eq!(longer, AnswerFault::Malformed(left), "version {version}");
}

/// Every place that may be a count or a length claims as much as it can: 2^31 - 1 in the older
/// encoding, 2^32 - 2 in the newer one. The decoder would ask for many GiB at once.
fn check_lies<R: Answered>(whole: &Bytes, version: i16) {
    let body = LENGTH_BYTES + 4;
    for lie in [
        &[0x7f, 0xff, 0xff, 0xff][..],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
    ] {
        for at in body..whole.len() {
            let rest = &whole[(at + lie.len()).min(whole.len())..];
            let lying = [&whole[..at], lie, rest].concat();
            // Where there is no count, it may well be an answer.
            drop(read::<R>(Bytes::from(lying), version, CORRELATION));
        }
    }
}

#[test]
fn every_answer_is_read_in_every_version() {
    check_every_version::<ApiVersionsRequest>(versions);
    check_every_version::<MetadataRequest>(metadata);
    check_every_version::<ListOffsetsRequest>(list_offsets);
    check_every_version::<OffsetForLeaderEpochRequest>(epoch_ends);
    check_every_version::<DescribeConfigsRequest>(settings);
    check_every_version::<AlterPartitionReassignmentsRequest>(reassigned);
    check_every_version::<IncrementalAlterConfigsRequest>(set);
    check_every_version::<DescribeClusterRequest>(described);
    check_every_version::<DescribeLogDirsRequest>(log_dirs);
}

#[test]
fn counts_that_the_bytes_cannot_hold_are_refused() {
    // Seven bytes are left: one element of seven, not two.
    let body = [&[0, 0, 3][..], &[0; 7], &[0; 7]].concat();
    let answer = Bytes::from([&[0; 4][..], &CORRELATION.to_be_bytes(), &body].concat());
    let refused = Malformed::Impossible {
        field: "a count of elements",
        value: 2,
    };
    let enough = [&answer[..], &[0; 5]].concat();
    assert!(read::<ApiVersionsRequest>(enough.into(), 3, CORRELATION).is_ok());
    let fault = read::<ApiVersionsRequest>(answer.slice(..answer.len() - 1), 3, CORRELATION);
    assert_eq!(fault, Err(AnswerFault::Malformed(refused)));
}

/// Settings without name, value, synonyms and documentation: nine bytes that become 152.
#[test]
fn what_is_made_of_an_answer_stays_in_proportion() {
    let hollow = DescribeConfigsResourceResult::default().with_documentation(None);
    let answer = |count| {
        let result = DescribeConfigsResult::default().with_configs(vec![hollow.clone(); count]);
        let answer = DescribeConfigsResponse::default().with_results(vec![result]);
        frame::<DescribeConfigsRequest>(&answer, 4)
    };
    let read = |count| read::<DescribeConfigsRequest>(answer(count), 4, CORRELATION);
    assert!(read(400).is_ok(), "in what small answers have");
    let fault = read(100_000).expect_err("15 MiB of 1 MiB");
    let refused = Malformed::Impossible {
        field: "a count of elements",
        value: 100_000,
    };
    assert_eq!(fault, AnswerFault::Malformed(refused));
}

/// What an element of a list, which is found by its place, becomes in memory.
pub(super) fn element(shape: &[Shape], path: &[usize]) -> usize {
    let mut shape = shape;
    for nth in path {
        let List(inner) = shape[*nth] else {
            panic!("{shape:?} has no list at {nth}")
        };
        shape = inner;
    }
    memory(shape)
}

#[test]
fn a_shape_knows_what_the_decoder_makes_of_it() {
    let metadata = MetadataRequest::shape(12);
    let settings = DescribeConfigsRequest::shape(4);
    let offsets = ListOffsetsRequest::shape(10);
    let epochs = OffsetForLeaderEpochRequest::shape(4);
    let reassigned = AlterPartitionReassignmentsRequest::shape(1);
    let set = IncrementalAlterConfigsRequest::shape(1);
    let apis = ApiVersionsRequest::shape(3);
    let Tagged(features) = apis[3] else {
        panic!("features are tagged")
    };
    let features = [features[0].1, features[2].1];
    for (said, is) in [
        (element(apis, &[1]), size_of::<ApiVersion>()),
        (element(&features, &[0]), size_of::<SupportedFeatureKey>()),
        (element(&features, &[1]), size_of::<FinalizedFeatureKey>()),
        (element(metadata, &[1]), size_of::<MetadataResponseBroker>()),
        (element(metadata, &[4]), size_of::<MetadataResponseTopic>()),
        (
            element(metadata, &[4, 4]),
            size_of::<MetadataResponsePartition>(),
        ),
        (
            element(offsets, &[1]),
            size_of::<ListOffsetsTopicResponse>(),
        ),
        (
            element(offsets, &[1, 1]),
            size_of::<ListOffsetsPartitionResponse>(),
        ),
        (
            element(epochs, &[1]),
            size_of::<OffsetForLeaderTopicResult>(),
        ),
        (element(epochs, &[1, 1]), size_of::<EpochEndOffset>()),
        (
            element(reassigned, &[2]),
            size_of::<ReassignableTopicResponse>(),
        ),
        (
            element(reassigned, &[2, 1]),
            size_of::<ReassignablePartitionResponse>(),
        ),
        (
            element(set, &[1]),
            size_of::<AlterConfigsResourceResponse>(),
        ),
        (element(settings, &[1]), size_of::<DescribeConfigsResult>()),
        (
            element(settings, &[1, 4]),
            size_of::<DescribeConfigsResourceResult>(),
        ),
        (
            element(settings, &[1, 4, 3]),
            size_of::<DescribeConfigsSynonym>(),
        ),
    ] {
        assert!(said >= is && said <= is + 16, "{said} said, {is} needed");
    }
}

#[test]
fn a_refused_version_is_read_in_the_oldest_one() {
    let refused = ErrorCode::UNSUPPORTED_VERSION.0;
    let answer = versions(1).with_error_code(refused);
    let answer = ApiVersionsResponse::default()
        .with_error_code(refused)
        .with_api_keys(answer.api_keys);
    let whole = frame::<ApiVersionsRequest>(&answer, 0);
    let told = read::<ApiVersionsRequest>(whole, 3, CORRELATION).expect("brokers do so");
    assert_eq!((told.error_code, told.api_keys.len()), (refused, 1));
}

#[test]
fn the_header_is_judged_first() {
    let whole = frame::<MetadataRequest>(&metadata(1), 12);
    let other = read::<MetadataRequest>(whole.clone(), 12, 5).err();
    let fault = Malformed::Correlation {
        expected: 5,
        found: CORRELATION,
    };
    assert_eq!(other, Some(fault.into()));
    let mut many = whole.to_vec();
    // As many tagged fields as can be said, and none of them.
    many.splice(8..9, [0xff, 0xff, 0xff, 0xff, 0x0f]);
    let fault = read::<MetadataRequest>(many.into(), 12, CORRELATION).err();
    assert!(
        matches!(fault, Some(AnswerFault::Malformed(_))),
        "{fault:?}"
    );
}

fn garbage() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let splice = (any::<proptest::sample::Index>(), any::<Vec<u8>>());
    let damage = proptest::collection::vec(splice, 0..4);
    (0usize..5, damage).prop_map(|(which, damage)| {
        let mut bytes = match which {
            0 => frame::<ApiVersionsRequest>(&versions(3), 3),
            1 => frame::<MetadataRequest>(&metadata(3), 12),
            2 => frame::<ListOffsetsRequest>(&list_offsets(3), 8),
            3 => frame::<OffsetForLeaderEpochRequest>(&epoch_ends(3), 4),
            _ => frame::<DescribeConfigsRequest>(&settings(3), 4),
        }
        .to_vec();
        for (at, with) in damage {
            let at = 8 + at.index(bytes.len() - 8);
            let end = bytes.len().min(at + with.len());
            bytes.splice(at..end, with);
        }
        (which, bytes)
    })
}

proptest! {
    /// Whatever is read says again what was read: no byte was passed over, none was made up.
    #[test]
    fn garbage_is_refused_or_says_what_it_says((which, bytes) in garbage()) {
        fn reads<R: Answered>(bytes: &[u8], version: i16) -> Option<usize> {
            let told = read::<R>(Bytes::copy_from_slice(bytes), version, CORRELATION);
            Some(frame::<R>(&told.ok()?, version).len())
        }
        let again = match which {
            0 => reads::<ApiVersionsRequest>(&bytes, 3),
            1 => reads::<MetadataRequest>(&bytes, 12),
            2 => reads::<ListOffsetsRequest>(&bytes, 8),
            3 => reads::<OffsetForLeaderEpochRequest>(&bytes, 4),
            _ => reads::<DescribeConfigsRequest>(&bytes, 4),
        };
        if let Some(again) = again {
            // Numbers may be written longer than they have to be, tags may stand twice.
            prop_assert!(again <= bytes.len() + 64, "{again} of {}", bytes.len());
        }
    }
}
