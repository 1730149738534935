//! A client of a Kafka broker: one request after the other, waiting for each answer.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, CreateTopicsRequest, ListOffsetsRequest,
    MetadataRequest, MetadataResponse, ProduceRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use crate::batches::{Block, Shape};
use crate::broker::TOPIC;

/// The versions that brokers from 3.9 to 4.3 all know.
const CREATE_TOPICS: i16 = 7;
const PRODUCE: i16 = 9;
const METADATA: i16 = 12;
const LIST_OFFSETS: i16 = 7;
const REASSIGN: i16 = 0;

const PATIENCE: Duration = Duration::from_secs(60);
const TIMEOUT_MS: i32 = 30_000;
const LATEST: i64 = -1;

/// A connection to one broker.
pub(super) struct Client {
    stream: TcpStream,
    correlation: i32,
}

impl Client {
    /// Connects to a broker of this machine.
    pub(super) fn connect(port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream,
            correlation: 0,
        })
    }

    fn call<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation);
        let mut frame = BytesMut::zeroed(4);
        let encoded = header.encode(&mut frame, R::header_version(version));
        encoded.map_err(io::Error::other)?;
        request
            .encode(&mut frame, version)
            .map_err(io::Error::other)?;
        let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame)?;
        let mut answer = self.answer()?;
        let version_of_header = R::Response::header_version(version);
        ResponseHeader::decode(&mut answer, version_of_header).map_err(io::Error::other)?;
        R::Response::decode(&mut answer, version).map_err(io::Error::other)
    }

    fn answer(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = Vec::new();
        let length = u64::from(u32::from_be_bytes(length));
        if (&mut self.stream).take(length).read_to_end(&mut answer)? as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer.into())
    }

    /// Makes the topic, all of its partitions on broker `node`.
    pub(super) fn create_topic(&mut self, partitions: u32, node: i32) -> io::Result<()> {
        let assignments = indexes(partitions).map(|index| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index)
                .with_broker_ids(vec![BrokerId(node)])
        });
        let forever = CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("retention.ms"))
            .with_value(Some(StrBytes::from_static_str("-1")));
        let topic = CreatableTopic::default()
            .with_name(topic())
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(assignments.collect())
            .with_configs(vec![forever]);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(TIMEOUT_MS);
        let answer = self.call(&request, CREATE_TOPICS)?;
        sound(answer.topics.iter().map(|topic| topic.error_code))
    }

    /// Writes what `shape` says into the topic.
    pub(super) fn fill(&mut self, shape: Shape) -> io::Result<()> {
        let mut block = Block::new(shape);
        // A producer numbers the records of each batch from zero; the broker gives the offsets.
        let batch = Bytes::copy_from_slice(block.from(0, 1));
        for _ in 0..shape.batches {
            let partitions = indexes(shape.partitions).map(|index| {
                PartitionProduceData::default()
                    .with_index(index)
                    .with_records(Some(batch.clone()))
            });
            let data = TopicProduceData::default()
                .with_name(topic())
                .with_partition_data(partitions.collect());
            let request = ProduceRequest::default()
                .with_acks(1)
                .with_timeout_ms(TIMEOUT_MS)
                .with_topic_data(vec![data]);
            let answer = self.call(&request, PRODUCE)?;
            let partitions = answer.responses.iter();
            let partitions = partitions.flat_map(|topic| &topic.partition_responses);
            sound(partitions.map(|partition| partition.error_code))?;
        }
        Ok(())
    }

    /// Gives every partition of the topic these replicas.
    pub(super) fn reassign(&mut self, partitions: u32, nodes: &[i32]) -> io::Result<()> {
        let replicas: Vec<BrokerId> = nodes.iter().copied().map(BrokerId).collect();
        let partitions = indexes(partitions).map(|index| {
            ReassignablePartition::default()
                .with_partition_index(index)
                .with_replicas(Some(replicas.clone()))
        });
        let topic = ReassignableTopic::default()
            .with_name(topic())
            .with_partitions(partitions.collect());
        let request = AlterPartitionReassignmentsRequest::default()
            .with_timeout_ms(TIMEOUT_MS)
            .with_topics(vec![topic]);
        let answer = self.call(&request, REASSIGN)?;
        let partitions = answer.responses.iter();
        let partitions = partitions.flat_map(|topic| &topic.partitions);
        let errors = partitions.map(|partition| partition.error_code);
        sound(errors.chain([answer.error_code]))
    }

    /// How many brokers are there.
    pub(super) fn brokers(&mut self) -> io::Result<usize> {
        Ok(self.metadata()?.brokers.len())
    }

    /// Whether every partition's replicas are `count`, and in sync.
    pub(super) fn has_replicas(&mut self, count: usize) -> io::Result<bool> {
        let answer = self.metadata()?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let mut partitions = partitions.peekable();
        let is_there = partitions.peek().is_some();
        Ok(is_there
            && partitions.all(|partition| {
                partition.replica_nodes.len() == count && partition.isr_nodes.len() == count
            }))
    }

    fn metadata(&mut self) -> io::Result<MetadataResponse> {
        let topic = MetadataRequestTopic::default().with_name(Some(topic()));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(false);
        self.call(&request, METADATA)
    }

    /// Records in all partitions together; none while the broker does not lead all of them.
    pub(super) fn records(&mut self, partitions: u32) -> io::Result<Option<u64>> {
        let partitions = indexes(partitions).map(|index| {
            ListOffsetsPartition::default()
                .with_partition_index(index)
                .with_current_leader_epoch(-1)
                .with_timestamp(LATEST)
        });
        let topic = ListOffsetsTopic::default()
            .with_name(topic())
            .with_partitions(partitions.collect());
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![topic]);
        let answer = self.call(&request, LIST_OFFSETS)?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let ends = partitions.map(|partition| match partition.error_code {
            0 => u64::try_from(partition.offset).ok(),
            _ => None,
        });
        Ok(ends.sum())
    }
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

fn indexes(partitions: u32) -> impl Iterator<Item = i32> {
    (0..partitions).map(|index| i32::try_from(index).expect("brokers have fewer partitions"))
}

fn sound(mut codes: impl Iterator<Item = i16>) -> io::Result<()> {
    match codes.find(|code| *code != 0) {
        None => Ok(()),
        Some(code) => Err(io::Error::other(format!(
            "the broker answers with error {code}"
        ))),
    }
}
