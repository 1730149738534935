//! What one broker says, asked by itself: real clients turn to whichever broker they like, and wait
//! for those that stand still.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

const VERSION: i16 = 12;

/// A partition's replicas, by one broker's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replicas {
    /// All of them, the preferred leader first.
    pub(super) all: Vec<i32>,
    /// Who is in sync, in order.
    pub(super) in_sync: Vec<i32>,
}

/// What a broker has heard from the controller, at one moment.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// Brokers that take part and that clients can see, in order.
    pub(super) alive: Vec<i32>,
    /// The partitions of a topic.
    pub(super) partitions: Vec<Replicas>,
}

/// Asks the broker at an address about a topic; none of its partitions where it knows of none.
pub(super) fn heard(at: &str, topic: &str) -> Heard {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let named = MetadataRequestTopic::default().with_name(Some(name));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![named]))
        .with_allow_auto_topic_creation(false);
    let told = ask(at, VERSION, &request);
    let sorted = |ids: Vec<i32>| {
        let mut ids = ids;
        ids.sort_unstable();
        ids
    };
    let ids = |ids: &[kafka_protocol::messages::BrokerId]| ids.iter().map(|id| id.0).collect();
    let partitions = told.topics.iter().flat_map(|topic| &topic.partitions);
    let mut partitions: Vec<_> = partitions.collect();
    partitions.sort_by_key(|one| one.partition_index);
    let partitions = partitions.into_iter().map(|one| Replicas {
        all: ids(&one.replica_nodes),
        in_sync: sorted(ids(&one.isr_nodes)),
    });
    Heard {
        alive: sorted(told.brokers.iter().map(|one| one.node_id.0).collect()),
        partitions: partitions.collect(),
    }
}

/// Asks the broker at an address anything, over a connection of its own.
pub(super) fn ask<R: Request>(at: &str, version: i16, request: &R) -> R::Response {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version);
    let mut content = BytesMut::new();
    header
        .encode(&mut content, R::header_version(version))
        .expect("all of it is set");
    request.encode(&mut content, version).expect("all is set");
    let mut answer = exchange(at, &content);
    ResponseHeader::decode(&mut answer, R::Response::header_version(version))
        .expect("a broker wrote it");
    R::Response::decode(&mut answer, version).expect("a broker wrote it")
}

fn exchange(at: &str, content: &[u8]) -> Bytes {
    let mut stream = TcpStream::connect(at).expect("the broker runs");
    let length = u32::try_from(content.len()).expect("short");
    let frame = [&length.to_be_bytes()[..], content].concat();
    stream.write_all(&frame).expect("the broker reads");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("the broker answers");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).expect("the broker answers");
    Bytes::from(answer)
}
