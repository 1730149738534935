//! `Metadata`: ourselves, and the topics that are asked for, by name or by id. Nothing is created.

use std::collections::BTreeSet;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{self, MetadataRequest, MetadataResponse};
use uuid::Uuid;

use super::{Call, CloseReason, Reply, Server, name, text};
use crate::model::{TopicId, TopicName};
use crate::protocol::ErrorCode;
use crate::protocol::shape::Shape;
use crate::server::Topic;

/// Topics have ids from this version on, and may lack a name from that one on.
const IDS_FROM: i16 = 10;
const NAMELESS_FROM: i16 = 12;
/// The cluster's rights are asked for up to this version.
const CLUSTER_RIGHTS_UNTIL: i16 = 10;
const INTERNAL: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

const NAMED: &[Shape] = &[Shape::Text];
const NAMED_OR_ID: &[Shape] = &[Shape::Bytes(16), Shape::Text];

pub(super) fn answer(server: &Server, call: &Call<'_>) -> Result<Reply, CloseReason> {
    let version = call.version;
    let topic = if version < IDS_FROM {
        NAMED
    } else {
        NAMED_OR_ID
    };
    // Whether topics may be created, whether to tell rights on the cluster and on topics.
    let flags = if version <= CLUSTER_RIGHTS_UNTIL {
        3
    } else {
        2
    };
    let request: MetadataRequest = call.request(&[Shape::List(topic), Shape::Bytes(flags)])?;
    let identity = server.identity();
    let id = messages::BrokerId(identity.broker.0);
    let topics = match &request.topics {
        None => server.topics.values().map(|of| known(server, of)).collect(),
        Some(asked) => chosen(server, asked, version),
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(id)
        .with_host(text(&identity.host))
        .with_port(i32::from(identity.port));
    let answer = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(&identity.cluster)))
        .with_controller_id(id)
        .with_topics(topics);
    call.ready(&answer)
}

/// Each is told once, so that no answer grows beyond what there is to tell.
fn chosen(
    server: &Server,
    asked: &[MetadataRequestTopic],
    version: i16,
) -> Vec<MetadataResponseTopic> {
    let mut told = BTreeSet::new();
    asked
        .iter()
        .filter(|topic| told.insert((topic.topic_id, topic.name.as_deref())))
        .map(|topic| one(server, topic, version))
        .collect()
}

/// A topic that is asked for by its id, or by its name where it has none.
fn one(server: &Server, asked: &MetadataRequestTopic, version: i16) -> MetadataResponseTopic {
    let asked_name = asked.name.as_deref().map(|name| &**name);
    if let (true, Some(wanted)) = (asked.topic_id.is_nil(), asked_name) {
        return match server.by_name(wanted) {
            Some(topic) => known(server, topic),
            None => {
                let error = match TopicName::new(wanted) {
                    Some(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    None => ErrorCode::INVALID_TOPIC_EXCEPTION,
                };
                MetadataResponseTopic::default()
                    .with_error_code(error.0)
                    .with_name(asked.name.clone())
            }
        };
    }
    match server
        .topics
        .get(&TopicId::new(asked.topic_id.into_bytes()))
    {
        Some(topic) => known(server, topic),
        None => {
            let nameless = (version < NAMELESS_FROM).then(messages::TopicName::default);
            MetadataResponseTopic::default()
                .with_error_code(ErrorCode::UNKNOWN_TOPIC_ID.0)
                .with_topic_id(asked.topic_id)
                .with_name(nameless)
        }
    }
}

fn known(server: &Server, topic: &Topic) -> MetadataResponseTopic {
    let ourselves = messages::BrokerId(server.identity().broker.0);
    let partition = |(index, partition): (i32, &crate::server::Partition)| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(ourselves)
            .with_leader_epoch(partition.leader_epoch.value())
            .with_replica_nodes(vec![ourselves])
            .with_isr_nodes(vec![ourselves])
    };
    MetadataResponseTopic::default()
        .with_name(Some(name(&topic.name)))
        .with_topic_id(Uuid::from_bytes(topic.id.bytes()))
        .with_is_internal(INTERNAL.contains(&topic.name.as_str()))
        .with_partitions(topic.numbered().map(partition).collect())
}
