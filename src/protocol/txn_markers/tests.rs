//! Requests of the generated encoder, and answers as the generated decoder reads them.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{self, WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::prelude::*;

use super::*;

fn topic(name: &'static str, partitions: &[i32]) -> WritableTxnMarkerTopic {
    WritableTxnMarkerTopic::default()
        .with_name(messages::TopicName(StrBytes::from_static_str(name)))
        .with_partition_indexes(partitions.to_vec())
}

fn marker(producer: i64, topics: Vec<WritableTxnMarkerTopic>) -> WritableTxnMarker {
    WritableTxnMarker::default()
        .with_producer_id(producer.into())
        .with_transaction_result(producer % 2 == 0)
        .with_coordinator_epoch(3)
        .with_topics(topics)
}

/// Two transactions of one producer, one of another that has touched nothing.
fn request() -> Vec<u8> {
    let markers = vec![
        marker(7, vec![topic("a", &[0, 1]), topic("b", &[5])]),
        marker(9, vec![]),
        marker(7, vec![topic("a", &[2])]),
    ];
    let request = WriteTxnMarkersRequest::default().with_markers(markers);
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes, 1).unwrap();
    bytes.to_vec()
}

/// The same in version 2: each marker has a byte more before its tags.
fn request_of_version_2() -> Vec<u8> {
    let mut out = Vec::new();
    let mut to = Writer::new(&mut out);
    to.list([7i64, 9].into_iter(), |to, producer| {
        to.i64(producer);
        to.i16(0);
        to.bool(true);
        to.list(["a"].into_iter(), |to, name| {
            to.text(Some(name));
            to.list([4].into_iter(), |to, index| to.i32(index));
            to.no_tags();
        });
        to.i32(3);
        to.i8(2);
        to.no_tags();
    });
    to.no_tags();
    out
}

fn judged(name: &str, index: i32) -> ErrorCode {
    match (name, index) {
        ("a", _) => ErrorCode::NONE,
        _ => ErrorCode::NOT_LEADER_OR_FOLLOWER,
    }
}

#[test]
fn every_producer_is_answered_once_with_all_its_partitions() {
    let bytes = request();
    let markers = read_markers(1, &bytes, judged).unwrap();
    let mut out = Vec::new();
    write_answer(&markers, &mut out);
    let mut left = Bytes::from(out);
    let answer = WriteTxnMarkersResponse::decode(&mut left, 1).unwrap();
    assert!(left.is_empty());
    let told: Vec<_> = answer
        .markers
        .iter()
        .map(|marker| {
            let topics = marker.topics.iter().flat_map(|topic| {
                let name = topic.name.to_string();
                let partitions = topic.partitions.iter();
                partitions.map(move |of| (name.clone(), of.partition_index, of.error_code))
            });
            (marker.producer_id.0, topics.collect::<Vec<_>>())
        })
        .collect();
    let a = |index| ("a".to_owned(), index, 0);
    let b = ("b".to_owned(), 5, ErrorCode::NOT_LEADER_OR_FOLLOWER.0);
    assert_eq!(
        told,
        [(7, vec![a(0), a(1), a(2), b]), (9, vec![])],
        "none is missing"
    );
}

#[test]
fn the_rules_of_a_transaction_are_passed_over() {
    let bytes = request_of_version_2();
    let markers = read_markers(2, &bytes, judged).unwrap();
    assert_eq!(markers.keys().copied().collect::<Vec<i64>>(), [7, 9]);
    assert!(read_markers(1, &bytes, judged).is_err());
}

#[test]
fn a_request_cut_anywhere_is_refused() {
    for (version, whole) in [(1, request()), (2, request_of_version_2())] {
        for end in 0..whole.len() {
            let cut = read_markers(version, &whole[..end], judged);
            assert!(cut.is_err(), "{end}");
        }
        let longer = [&whole[..], &[0]].concat();
        let left = Malformed::LeftOver { left: 1 };
        assert_eq!(read_markers(version, &longer, judged), Err(left));
    }
}

proptest! {
    #[test]
    fn damage_ends_in_markers_or_a_fault(at in 0usize..200, value: u8, version in 1i16..=2) {
        let mut bytes = request();
        let at = at % bytes.len();
        bytes[at] = value;
        drop(read_markers(version, &bytes, judged));
    }
}
