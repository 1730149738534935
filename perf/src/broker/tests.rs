//! The broker as a client sees it, over real sockets.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use bytes::BytesMut;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, DescribeConfigsRequest,
    ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use twinlog::model::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use twinlog::protocol::fetch::{
    self, AnswerReader, Ask, AskedPartition, PartitionHead, Step, Topics, write_request,
};
use twinlog::record::{Expect, Rest, check};
use uuid::Uuid;

use super::*;

const CORRELATION: i32 = 4711;
const IDLE: Duration = Duration::from_secs(30);

/// Three partitions of 64 batches.
fn shape() -> Shape {
    Shape::new(3 * 64 * 5000, 5000, 3).unwrap()
}

struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects to a broker of its own.
    fn new(shape: Shape) -> Client {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_read_timeout(Some(IDLE)).unwrap();
        thread::spawn(move || serve(&listener, shape, IDLE));
        Client { stream }
    }

    fn port(&self) -> i32 {
        i32::from(self.stream.peer_addr().unwrap().port())
    }

    /// The next reply, its length included.
    fn receive(&mut self) -> Vec<u8> {
        let mut frame = vec![0; 4];
        self.stream.read_exact(&mut frame).unwrap();
        let length = i32::from_be_bytes(frame[..4].try_into().unwrap());
        frame.resize(4 + usize::try_from(length).unwrap(), 0);
        self.stream.read_exact(&mut frame[4..]).unwrap();
        frame
    }

    fn send<R: Request>(&mut self, request: &R, version: i16) {
        let mut frame = BytesMut::zeroed(4);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(CORRELATION)
            .with_client_id(Some(StrBytes::from_static_str("tests")));
        let header_version = R::header_version(version);
        header.encode(&mut frame, header_version).unwrap();
        request.encode(&mut frame, version).unwrap();
        let length = i32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame).unwrap();
    }

    /// Asks, and reads the answer to its last byte.
    fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.send(request, version);
        self.read(version)
    }

    fn read<R: Decodable + HeaderVersion>(&mut self, version: i16) -> R {
        let mut reply = Bytes::from(self.receive()).slice(4..);
        let header = ResponseHeader::decode(&mut reply, R::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, CORRELATION);
        let answer = R::decode(&mut reply, version).unwrap();
        assert!(reply.is_empty(), "{} bytes are left over", reply.len());
        answer
    }

    /// Fetches; each partition's entry with its records.
    fn fetch(
        &mut self,
        version: i16,
        bytes_max: i32,
        asked: &[AskedPartition],
    ) -> Vec<(PartitionHead, Vec<u8>)> {
        let ask = Ask {
            max_wait_ms: 1,
            min_bytes: 1,
            max_bytes: bytes_max,
        };
        let mut request = Vec::new();
        let whole = fetch::Request::alone(ask, asked);
        write_request(
            version,
            CORRELATION,
            "tests",
            &whole,
            Topics::NONE,
            &mut request,
        );
        self.stream.write_all(&request).unwrap();
        read_answer(version, &self.receive())
    }
}

fn read_answer(version: i16, frame: &[u8]) -> Vec<(PartitionHead, Vec<u8>)> {
    let mut reader = AnswerReader::new(version, CORRELATION);
    let mut partitions = Vec::new();
    let mut left = frame;
    loop {
        let (step, used) = reader.next(left, Topics::NONE).unwrap();
        left = &left[used..];
        match step {
            Step::Head(head) => assert_eq!((head.throttle_ms, head.error.0), (0, 0)),
            Step::Partition(head) => partitions.push((head, Vec::new())),
            Step::Records { available, .. } => {
                let (_, records) = partitions.last_mut().unwrap();
                records.extend_from_slice(&left[..available]);
                reader.take_records(available);
                left = &left[available..];
            }
            Step::PartitionEnd(tail) => assert_eq!(tail, fetch::PartitionTail::default()),
            Step::End(_) => break,
            Step::More(_) => panic!("the whole answer is there"),
        }
    }
    assert!(left.is_empty());
    partitions
}

fn asked(partition: i32, offset: i64, bytes_max: i32) -> AskedPartition {
    AskedPartition {
        topic: TopicId::new(TOPIC_ID),
        partition: PartitionIndex::new(partition).unwrap(),
        leader_epoch: LeaderEpoch::new(0),
        fetch_offset: Offset::new(offset),
        last_fetched_epoch: LeaderEpoch::NONE,
        log_start: None,
        max_bytes: bytes_max,
    }
}

/// Checks that the bytes are whole sound batches from the offset on; returns where they end.
fn sound_end(records: &[u8], next: i64, may_begin_before: bool) -> i64 {
    let expect = Expect {
        next: Offset::new(next),
        may_begin_before,
        epoch: LeaderEpoch::new(0),
        batch_bytes_max: 1 << 20,
    };
    let checked = check(records, expect);
    assert_eq!(checked.rest, Rest::Nothing);
    checked.run.next_offset().value()
}

#[test]
fn everything_can_be_fetched_once_and_in_order_in_every_version() {
    for version in fetch::TOPIC_IDS_FROM..=fetch::VERSION_MAX {
        let mut client = Client::new(shape());
        let mut next = BTreeMap::from([(0, 0), (1, 0), (2, 0)]);
        let mut bytes = 0;
        while next.values().any(|next| *next < shape().end_offset()) {
            let partitions: Vec<AskedPartition> = next
                .iter()
                .map(|(partition, next)| asked(*partition, *next, 36_000))
                .collect();
            let before = bytes;
            for (head, records) in client.fetch(version, 60_000, &partitions) {
                let index = head.partition.value();
                assert_eq!((head.error.0, records.len()), (0, head.records_bytes));
                let end = Some(Offset::new(shape().end_offset()));
                assert_eq!(
                    (head.high_watermark, head.log_start),
                    (end, Some(Offset::new(0)))
                );
                let reached = sound_end(&records, next[&index], false);
                next.insert(index, reached);
                bytes += records.len() as u64;
            }
            assert!(bytes > before, "an answer moves on");
        }
        assert_eq!(bytes, shape().bytes(), "version {version}");
        for reached in next.values() {
            assert_eq!(*reached, shape().end_offset());
        }
    }
}

#[test]
fn both_bounds_hold_except_for_one_batch() {
    let mut client = Client::new(shape());
    let sizes = |answer: Vec<(PartitionHead, Vec<u8>)>| -> Vec<usize> {
        answer.iter().map(|(_, records)| records.len()).collect()
    };
    let three = |bytes_max| [0, 1, 2].map(|partition| asked(partition, 0, bytes_max));
    let by_partition = client.fetch(17, 1 << 20, &three(14_999));
    assert_eq!(sizes(by_partition), [10_000, 10_000, 10_000]);
    let by_answer = client.fetch(17, 24_999, &three(15_000));
    assert_eq!(sizes(by_answer), [15_000, 5_000, 0]);
    let one_batch = client.fetch(17, 100, &three(100));
    assert_eq!(sizes(one_batch), [5_000, 0, 0]);
}

#[test]
fn an_answer_larger_than_a_block_is_whole() {
    let shape = Shape::new(40 << 20, 64 << 10, 2).unwrap();
    let mut client = Client::new(shape);
    let partitions = [asked(0, 0, 30 << 20), asked(1, 0, 30 << 20)];
    let answer = client.fetch(18, 50 << 20, &partitions);
    assert_eq!(answer.len(), 2);
    for (head, records) in answer {
        assert_eq!(records.len(), 20 << 20, "{head:?}");
        assert_eq!(sound_end(&records, 0, false), shape.end_offset());
    }
}

#[test]
fn an_offset_inside_a_batch_gets_the_whole_batch() {
    let mut client = Client::new(shape());
    let records = i64::try_from(shape().records).unwrap();
    let within = 2 * records + 1;
    let answer = client.fetch(13, 1 << 20, &[asked(1, within, 10_000)]);
    let end = sound_end(&answer[0].1, within, true);
    assert_eq!((answer[0].1.len(), end), (10_000, 4 * records));
}

#[test]
fn the_end_is_empty_and_what_cannot_be_is_refused() {
    let mut client = Client::new(shape());
    let end = shape().end_offset();
    let mut error = |asked: AskedPartition| {
        let answer = client.fetch(16, 1 << 20, &[asked]);
        assert!(answer[0].1.is_empty());
        answer[0].0.error.0
    };
    assert_eq!(error(asked(0, end, 1 << 20)), 0);
    assert_eq!(error(asked(0, end + 1, 1 << 20)), 1);
    assert_eq!(error(asked(3, 0, 1 << 20)), 3);
    let newer = LeaderEpoch::new(1);
    assert_eq!(
        error(AskedPartition {
            leader_epoch: newer,
            ..asked(0, 0, 1 << 20)
        }),
        76
    );
    let topic = TopicId::new([9; 16]);
    assert_eq!(
        error(AskedPartition {
            topic,
            ..asked(0, 0, 1 << 20)
        }),
        100
    );
}

#[test]
fn its_versions_are_told_even_to_a_client_that_is_too_new() {
    let mut client = Client::new(shape());
    for version in 0..=4 {
        let told = client.ask(&ApiVersionsRequest::default(), version);
        assert_eq!((told.error_code, told.api_keys.len()), (0, 7));
        let fetch = &told.api_keys[0];
        assert_eq!(
            (fetch.api_key, fetch.min_version, fetch.max_version),
            (1, 13, 18)
        );
    }
    let mut too_new = 14i32.to_be_bytes().to_vec();
    too_new.extend([0, 18, 0, 9]);
    too_new.extend(CORRELATION.to_be_bytes());
    too_new.extend([0xff, 0xff, 0, 0, 0, 0]);
    client.stream.write_all(&too_new).unwrap();
    let told: ApiVersionsResponse = client.read(0);
    assert_eq!((told.error_code, told.api_keys.len()), (35, 7));
}

#[test]
fn metadata_names_itself_as_the_only_broker_and_leader() {
    let mut client = Client::new(shape());
    let by_name = |name| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let by_id = MetadataRequestTopic::default()
        .with_name(None)
        .with_topic_id(Uuid::from_bytes(TOPIC_ID));
    for version in 0..=13 {
        let mut topics = vec![by_name("perf"), by_name("other")];
        if version >= 12 {
            topics.push(by_id.clone());
        }
        let request = MetadataRequest::default().with_topics(Some(topics));
        let told = client.ask(&request, version);
        assert_eq!(told.brokers.len(), 1);
        let broker = &told.brokers[0];
        assert_eq!(
            (broker.host.as_str(), broker.port),
            ("127.0.0.1", client.port())
        );
        let errors: Vec<i16> = told.topics.iter().map(|topic| topic.error_code).collect();
        assert_eq!(errors, &[0, 3, 0][..errors.len()], "version {version}");
        for topic in told.topics.iter().filter(|topic| topic.error_code == 0) {
            assert_eq!(topic.partitions.len(), 3);
            assert!(
                topic
                    .partitions
                    .iter()
                    .all(|one| one.leader_id == broker.node_id)
            );
            assert!(version < 10 || topic.topic_id.as_bytes() == &TOPIC_ID);
        }
    }
    let all = client.ask(&MetadataRequest::default().with_topics(None), 12);
    assert_eq!(all.topics.len(), 1);
    let none = client.ask(&MetadataRequest::default().with_topics(Some(vec![])), 12);
    assert!(none.topics.is_empty());
}

#[test]
fn offsets_are_listed_from_the_first_to_the_end() {
    let mut client = Client::new(shape());
    let one = |partition, timestamp| {
        ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(timestamp)
    };
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name("perf"))
        .with_partitions(vec![one(0, -2), one(1, -1), one(2, 5), one(3, -1)]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    for version in 1..=10 {
        let told = client.ask(&request, version);
        let told = told.topics[0].partitions.iter();
        let told: Vec<(i16, i64)> = told.map(|one| (one.error_code, one.offset)).collect();
        let end = shape().end_offset();
        assert_eq!(
            told,
            [(0, 0), (0, end), (0, -1), (3, -1)],
            "version {version}"
        );
    }
}

#[test]
fn the_only_epoch_ends_with_the_log() {
    let mut client = Client::new(shape());
    let one = |epoch| OffsetForLeaderPartition::default().with_leader_epoch(epoch);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(topic_name("perf"))
        .with_partitions(vec![one(0), one(1)]);
    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
    for version in 2..=4 {
        let told = client.ask(&request, version);
        let told = told.topics[0].partitions.iter();
        let told: Vec<(i32, i64)> = told.map(|one| (one.leader_epoch, one.end_offset)).collect();
        assert_eq!(told, [(0, shape().end_offset()), (-1, -1)]);
    }
}

#[test]
fn nothing_is_configured_and_the_cluster_is_one_broker() {
    let mut client = Client::new(shape());
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_static_str("perf"));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let told = client.ask(&request, 4);
    assert_eq!(told.results[0].resource_name.as_str(), "perf");
    assert_eq!(
        (told.results[0].error_code, told.results[0].configs.len()),
        (0, 0)
    );
    let cluster = client.ask(&DescribeClusterRequest::default(), 1);
    assert_eq!(
        (cluster.brokers.len(), cluster.brokers[0].port),
        (1, client.port())
    );
}

#[test]
fn a_request_that_nobody_knows_ends_the_connection() {
    let mut client = Client::new(shape());
    let produce = [0, 0, 0, 10, 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff];
    client.stream.write_all(&produce).unwrap();
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn it_ends_when_nobody_asks_any_more() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    serve(&listener, shape(), Duration::from_millis(100)).unwrap();
    drop(silent);
}

fn topic_name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}
