//! The server as a client of the generated protocol sees it, and what it makes of bad requests.

mod api_versions;
mod bad_input;
mod describe_cluster;
mod describe_configs;
mod fetch;
mod followers;
mod list_offsets;
mod metadata;
mod offset_for_leader_epoch;
mod topics;

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use super::*;
use crate::model::{LeaderEpoch, Offset, Watermarks};

const CORRELATION: i32 = 0x0a0b_0c0d;
const ORDERS: TopicId = TopicId::new([1; 16]);
const EVENTS: TopicId = TopicId::new([2; 16]);
const ABSENT: TopicId = TopicId::new([9; 16]);
const EPOCH: i32 = 5;

fn topic_name(name: &str) -> TopicName {
    TopicName::new(name).expect("a legal name")
}

fn index(index: i32) -> PartitionIndex {
    PartitionIndex::new(index).expect("not negative")
}

fn partition([log_start, last_stable, high_watermark, log_end]: [i64; 4]) -> Partition {
    Partition {
        leader_epoch: LeaderEpoch::new(EPOCH),
        watermarks: Watermarks {
            log_start: Offset::new(log_start),
            last_stable: Offset::new(last_stable),
            high_watermark: Offset::new(high_watermark),
            log_end: Offset::new(log_end),
        },
        followers: Vec::new(),
        held_from: Offset::new(log_start),
        holds_others: false,
    }
}

fn setting(name: &str, value: Option<&str>, source: SettingSource) -> Setting {
    Setting {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        source,
    }
}

/// `orders` with two partitions, of which the second is empty, and `events` with one.
fn server() -> Server {
    let mut server = Server::new(Identity {
        broker: BrokerId(7),
        host: "127.0.0.1".to_owned(),
        port: 19_092,
        cluster: "a-cluster".to_owned(),
    });
    server.tell(Topic {
        name: topic_name("orders"),
        id: ORDERS,
        partitions: vec![partition([10, 15, 20, 25]), partition([0; 4])],
        settings: vec![
            setting("cleanup.policy", Some("compact"), SettingSource::Topic),
            setting("retention.ms", None, SettingSource::Default),
        ],
    });
    server.tell(Topic {
        name: topic_name("events"),
        id: EVENTS,
        partitions: vec![partition([0, 3, 3, 3])],
        settings: Vec::new(),
    });
    server
}

/// The log of every partition: epoch 2 up to offset 18, then epoch 5 up to 25.
fn epochs(_topic: TopicId, _partition: PartitionIndex, epoch: LeaderEpoch) -> Option<EpochEnd> {
    let end = |epoch, end| EpochEnd {
        epoch: LeaderEpoch::new(epoch),
        end: Offset::new(end),
    };
    match epoch.value() {
        older @ 0..2 => Some(end(older, 10)),
        2..5 => Some(end(2, 18)),
        5 => Some(end(5, 25)),
        _ => None,
    }
}

/// A request's frame, without its length.
fn frame<R: Request>(version: i16, request: &R) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(CORRELATION)
        .with_client_id(Some(StrBytes::from_static_str("a client")));
    let mut frame = BytesMut::new();
    header
        .encode(&mut frame, R::header_version(version))
        .unwrap();
    request.encode(&mut frame, version).unwrap();
    frame.to_vec()
}

/// What an answer's frame says, with every byte accounted for.
fn decode<A: Decodable + HeaderVersion>(version: i16, frame: Vec<u8>) -> A {
    let mut bytes = Bytes::from(frame);
    let length = i32::from_be_bytes(bytes.split_to(4)[..].try_into().unwrap());
    assert_eq!(usize::try_from(length), Ok(bytes.len()));
    let header = ResponseHeader::decode(&mut bytes, A::header_version(version)).unwrap();
    assert_eq!(header.correlation_id, CORRELATION);
    let answer = A::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "{} bytes are left over", bytes.len());
    answer
}

fn ask<R: Request>(server: &Server, version: i16, request: &R) -> R::Response
where
    R::Response: Debug,
{
    match server.answer(&frame(version, request), &epochs) {
        Reply::Ready(answer) => decode(version, answer),
        other => panic!("{other:?}"),
    }
}

/// Why the connection is closed.
fn closed(server: &Server, frame: &[u8]) -> CloseReason {
    match server.answer(frame, &epochs) {
        Reply::Close(reason) => reason,
        other => panic!("{other:?}"),
    }
}
