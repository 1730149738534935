//! Everything but Fetch: one broker, one topic, nothing configured.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, DescribeClusterResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, ListOffsetsRequest, ListOffsetsResponse,
    MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{
    Decodable, Encodable, HeaderVersion, Message, Request, StrBytes, VersionRange,
};
use twinlog::protocol::Reader;
use twinlog::protocol::fetch;
use uuid::Uuid;

use super::{Fault, LEADER_EPOCH, TOPIC, TOPIC_ID};
use crate::batches::Shape;

const BROKER_ID: i32 = 1;
const CLUSTER_ID: &str = "perf-source-cluster-01";
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const UNSUPPORTED_VERSION: i16 = 35;
const UNKNOWN_TOPIC_ID: i16 = 100;
/// The offsets and epochs that stand for "none".
const UNDEFINED: i64 = -1;
const UNDEFINED_EPOCH: i32 = -1;

/// What the timestamps of a ListOffsets request stand for.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const EARLIEST_LOCAL: i64 = -4;

/// The version since which ListOffsets tells the leader's epoch.
const EPOCH_SINCE: i16 = 4;

/// Whom a request reaches and what is held here.
struct Cluster {
    shape: Shape,
    host: StrBytes,
    port: i32,
}

/// The whole reply frame to the request, which is without its length.
pub(super) fn reply(request: Bytes, shape: Shape, here: SocketAddr) -> Result<Vec<u8>, Fault> {
    let mut start = Reader::new(&request);
    let (key, version) = (start.i16()?, start.i16()?);
    let correlation = start.i32()?;
    let cluster = Cluster {
        shape,
        host: here.ip().to_string().into(),
        port: i32::from(here.port()),
    };
    let replied = match key {
        ApiVersionsRequest::KEY if !knows::<ApiVersionsRequest>(version) => {
            // A client that is too new reads this error in version 0.
            let reply = api_versions().with_error_code(UNSUPPORTED_VERSION);
            encode(&reply, 0, correlation)
        }
        ApiVersionsRequest::KEY => with(request, version, |_: ApiVersionsRequest| api_versions()),
        MetadataRequest::KEY => with(request, version, |asked| cluster.metadata(version, asked)),
        ListOffsetsRequest::KEY => with(request, version, |asked| {
            cluster.list_offsets(version, asked)
        }),
        OffsetForLeaderEpochRequest::KEY => with(request, version, |asked| cluster.epochs(asked)),
        DescribeConfigsRequest::KEY => with(request, version, configs),
        DescribeClusterRequest::KEY => with(request, version, |asked| cluster.describe(asked)),
        _ => return Err(Fault::Unknown { key, version }),
    };
    replied.map_err(|cause| Fault::Codec {
        key,
        version,
        cause,
    })
}

type Replied = Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>;

fn knows<R: Message>(version: i16) -> bool {
    (R::VERSIONS.min..=R::VERSIONS.max).contains(&version)
}

fn with<R: Request>(
    mut request: Bytes,
    version: i16,
    reply: impl FnOnce(R) -> R::Response,
) -> Replied {
    let header = RequestHeader::decode(&mut request, R::header_version(version))?;
    let asked = R::decode(&mut request, version)?;
    encode(&reply(asked), version, header.correlation_id)
}

fn encode<R: Encodable + HeaderVersion>(reply: &R, version: i16, correlation: i32) -> Replied {
    let mut frame = BytesMut::zeroed(4);
    let header = ResponseHeader::default().with_correlation_id(correlation);
    header.encode(&mut frame, R::header_version(version))?;
    reply.encode(&mut frame, version)?;
    let mut frame = Vec::from(frame);
    let length = i32::try_from(frame.len() - 4)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

fn api_versions() -> ApiVersionsResponse {
    fn one<R: Request>() -> ApiVersion {
        range(R::KEY, R::VERSIONS)
    }
    fn range(key: i16, versions: VersionRange) -> ApiVersion {
        ApiVersion::default()
            .with_api_key(key)
            .with_min_version(versions.min)
            .with_max_version(versions.max)
    }
    let fetches = VersionRange {
        min: fetch::TOPIC_IDS_FROM,
        max: fetch::VERSION_MAX,
    };
    ApiVersionsResponse::default().with_api_keys(vec![
        range(fetch::API_KEY, fetches),
        one::<ListOffsetsRequest>(),
        one::<MetadataRequest>(),
        one::<ApiVersionsRequest>(),
        one::<OffsetForLeaderEpochRequest>(),
        one::<DescribeConfigsRequest>(),
        one::<DescribeClusterRequest>(),
    ])
}

/// Nothing is configured, whatever is asked.
fn configs(asked: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = asked.resources.into_iter().map(|resource| {
        DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

impl Cluster {
    fn metadata(&self, version: i16, asked: MetadataRequest) -> MetadataResponse {
        let broker = MetadataResponseBroker::default()
            .with_node_id(BROKER_ID.into())
            .with_host(self.host.clone())
            .with_port(self.port);
        let topics = match asked.topics {
            // Before version 1 an empty list asked for everything.
            Some(topics) if version > 0 || !topics.is_empty() => {
                topics.into_iter().map(|topic| self.topic(topic)).collect()
            }
            _ => vec![self.known_topic()],
        };
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(StrBytes::from_static_str(CLUSTER_ID)))
            .with_controller_id(BROKER_ID.into())
            .with_topics(topics)
    }

    fn topic(&self, asked: MetadataRequestTopic) -> MetadataResponseTopic {
        let (is_known, error) = match &asked.name {
            Some(name) => (name.as_str() == TOPIC, UNKNOWN_TOPIC_OR_PARTITION),
            None => (asked.topic_id.as_bytes() == &TOPIC_ID, UNKNOWN_TOPIC_ID),
        };
        if is_known {
            return self.known_topic();
        }
        MetadataResponseTopic::default()
            .with_error_code(error)
            .with_name(asked.name)
            .with_topic_id(asked.topic_id)
    }

    fn known_topic(&self) -> MetadataResponseTopic {
        let partitions = self.partitions().map(|index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BROKER_ID.into())
                .with_leader_epoch(LEADER_EPOCH)
                .with_replica_nodes(vec![BROKER_ID.into()])
                .with_isr_nodes(vec![BROKER_ID.into()])
        });
        MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str(TOPIC))))
            .with_topic_id(Uuid::from_bytes(TOPIC_ID))
            .with_partitions(partitions.collect())
    }

    fn list_offsets(&self, version: i16, asked: ListOffsetsRequest) -> ListOffsetsResponse {
        let topics = asked.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter();
            let partitions =
                partitions.map(|partition| self.listed(version, &topic.name, partition));
            ListOffsetsTopicResponse::default()
                .with_partitions(partitions.collect())
                .with_name(topic.name)
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }

    fn listed(
        &self,
        version: i16,
        topic: &TopicName,
        asked: &ListOffsetsPartition,
    ) -> ListOffsetsPartitionResponse {
        let listed = ListOffsetsPartitionResponse::default()
            .with_partition_index(asked.partition_index)
            .with_offset(UNDEFINED)
            .with_timestamp(UNDEFINED);
        if !self.holds(topic, asked.partition_index) {
            return listed.with_error_code(UNKNOWN_TOPIC_OR_PARTITION);
        }
        let offset = match asked.timestamp {
            LATEST => self.shape.end_offset(),
            EARLIEST | EARLIEST_LOCAL => 0,
            _ => return listed,
        };
        let listed = listed.with_offset(offset);
        if version < EPOCH_SINCE {
            return listed;
        }
        listed.with_leader_epoch(LEADER_EPOCH)
    }

    fn epochs(&self, asked: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
        let topics = asked.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter();
            let partitions = partitions.map(|partition| self.epoch_end(&topic.topic, partition));
            OffsetForLeaderTopicResult::default()
                .with_partitions(partitions.collect())
                .with_topic(topic.topic)
        });
        OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
    }

    fn epoch_end(&self, topic: &TopicName, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
        let end = EpochEndOffset::default()
            .with_partition(asked.partition)
            .with_leader_epoch(UNDEFINED_EPOCH)
            .with_end_offset(UNDEFINED);
        if !self.holds(topic, asked.partition) {
            return end.with_error_code(UNKNOWN_TOPIC_OR_PARTITION);
        }
        if asked.leader_epoch != LEADER_EPOCH {
            return end;
        }
        end.with_leader_epoch(LEADER_EPOCH)
            .with_end_offset(self.shape.end_offset())
    }

    fn describe(&self, asked: DescribeClusterRequest) -> DescribeClusterResponse {
        let broker = DescribeClusterBroker::default()
            .with_broker_id(BROKER_ID.into())
            .with_host(self.host.clone())
            .with_port(self.port);
        DescribeClusterResponse::default()
            .with_endpoint_type(asked.endpoint_type)
            .with_cluster_id(StrBytes::from_static_str(CLUSTER_ID))
            .with_controller_id(BROKER_ID.into())
            .with_brokers(vec![broker])
    }

    fn holds(&self, topic: &TopicName, partition: i32) -> bool {
        topic.as_str() == TOPIC && self.partitions().contains(&partition)
    }

    fn partitions(&self) -> std::ops::Range<i32> {
        0..i32::try_from(self.shape.partitions).unwrap_or(i32::MAX)
    }
}
