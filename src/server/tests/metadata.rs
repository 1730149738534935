//! `Metadata` in every version.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{self, MetadataRequest, MetadataResponse};
use uuid::Uuid;

use super::*;
use crate::protocol::ErrorCode;

const VERSIONS: std::ops::RangeInclusive<i16> = 9..=13;

fn by_name(name: &'static str) -> MetadataRequestTopic {
    let name = messages::TopicName(StrBytes::from_static_str(name));
    MetadataRequestTopic::default().with_name(Some(name))
}

fn by_id(version: i16, id: TopicId) -> MetadataRequestTopic {
    // Names may be left out from version 12 on.
    let name = (version < 12).then(messages::TopicName::default);
    MetadataRequestTopic::default()
        .with_topic_id(Uuid::from_bytes(id.bytes()))
        .with_name(name)
}

fn asked(version: i16, topics: Vec<MetadataRequestTopic>) -> MetadataResponse {
    let request = MetadataRequest::default().with_topics(Some(topics));
    ask(&server(), version, &request)
}

fn told(topic: &MetadataResponseTopic) -> (i16, Option<&str>, usize) {
    let name = topic.name.as_deref().map(|name| &**name);
    (topic.error_code, name, topic.partitions.len())
}

#[test]
fn all_topics_are_told_where_none_is_named() {
    for version in VERSIONS {
        let request = MetadataRequest::default().with_topics(None);
        let answer = ask(&server(), version, &request);
        let topics: Vec<_> = answer.topics.iter().map(told).collect();
        assert_eq!(topics, [(0, Some("orders"), 2), (0, Some("events"), 1)]);
        let id = if version < 10 {
            [0; 16]
        } else {
            ORDERS.bytes()
        };
        assert_eq!(answer.topics[0].topic_id.into_bytes(), id);
        assert_eq!(answer.cluster_id.as_deref(), Some("a-cluster"));
        assert_eq!(answer.controller_id.0, 7);
        let broker = &answer.brokers[0];
        assert_eq!(
            (broker.node_id.0, &*broker.host, broker.port),
            (7, "127.0.0.1", 19_092)
        );
        let second = &answer.topics[0].partitions[1];
        assert_eq!((second.partition_index, second.leader_id.0), (1, 7));
        assert_eq!(second.leader_epoch, EPOCH);
        assert_eq!(
            (&second.replica_nodes, &second.isr_nodes),
            (&vec![7.into()], &vec![7.into()])
        );
        assert!(second.offline_replicas.is_empty());
    }
}

#[test]
fn no_topic_is_told_where_none_is_wanted() {
    for version in VERSIONS {
        let answer = asked(version, Vec::new());
        assert_eq!((answer.topics.len(), answer.brokers.len()), (0, 1));
    }
}

#[test]
fn topics_are_found_by_name() {
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0;
    let illegal = ErrorCode::INVALID_TOPIC_EXCEPTION.0;
    for version in VERSIONS {
        let names = ["events", "nowhere", "no/where"];
        let answer = asked(version, names.map(by_name).to_vec());
        let topics: Vec<_> = answer.topics.iter().map(told).collect();
        let expected = [
            (0, Some("events"), 1),
            (unknown, Some("nowhere"), 0),
            (illegal, Some("no/where"), 0),
        ];
        assert_eq!(topics, expected);
    }
}

#[test]
fn topics_are_found_by_id() {
    for version in 10..=13 {
        let answer = asked(
            version,
            vec![by_id(version, EVENTS), by_id(version, ABSENT)],
        );
        let nameless = (version < 12).then_some("");
        let topics: Vec<_> = answer.topics.iter().map(told).collect();
        let unknown = (ErrorCode::UNKNOWN_TOPIC_ID.0, nameless, 0);
        assert_eq!(topics, [(0, Some("events"), 1), unknown]);
        assert_eq!(answer.topics[1].topic_id.into_bytes(), ABSENT.bytes());
    }
}

#[test]
fn a_topic_that_is_asked_for_often_is_told_once() {
    let answer = asked(13, vec![by_name("events"); 1000]);
    assert_eq!(answer.topics.len(), 1);
}

#[test]
fn internal_topics_are_marked() {
    let mut server = server();
    let mut topic = server.topics[&EVENTS].clone();
    topic.name = topic_name("__consumer_offsets");
    server.tell(topic);
    let request = MetadataRequest::default().with_topics(None);
    let answer = ask(&server, 12, &request);
    let marks: Vec<bool> = answer.topics.iter().map(|of| of.is_internal).collect();
    assert_eq!(marks, [false, true]);
}
