//! A cluster as one of its brokers tells of it.

use std::collections::BTreeSet;

use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId as WireBroker, MetadataResponse};

use crate::model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId, TopicName, TopicPartition};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::Endpoint;

/// A cluster as one of its brokers sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The cluster's id.
    pub cluster_id: String,
    /// Where its brokers listen.
    pub brokers: Vec<Endpoint>,
    /// Its topics, or those that were asked for.
    pub topics: Vec<TopicView>,
    /// Names of further topics, which no topic can have: nothing else is told of these.
    pub unnameable: Vec<String>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicView {
    /// Its name.
    pub name: TopicName,
    /// Its id; where the source tells none, the one that stands for its name.
    pub id: TopicId,
    /// Its error, if it cannot be described.
    pub error: ErrorCode,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionView>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// Its number.
    pub index: PartitionIndex,
    /// Who leads it, if anyone.
    pub leader: Option<BrokerId>,
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
    /// Who holds it, those that a reassignment adds or removes among them.
    pub replicas: Vec<BrokerId>,
    /// Those of them that may lead it; none where all went and eligible replicas are kept apart.
    pub in_sync: Vec<BrokerId>,
}

impl ClusterView {
    /// A partition and its topic, where both are there.
    #[must_use]
    pub fn find(&self, id: &TopicPartition) -> Option<(&TopicView, &PartitionView)> {
        let topic = self.topics.iter().find(|topic| topic.name == id.topic)?;
        let mut partitions = topic.partitions.iter();
        Some((topic, partitions.find(|one| one.index == id.partition)?))
    }
}

/// What an answer says. What says two things of the same partition, or one of none, is no answer:
/// nobody knows what else of it is wrong. A name that no topic can have is that topic's trouble
/// alone: no directory and no request could have it, and whoever lets it be made must not keep the
/// others from being mirrored.
pub(super) fn read(answer: &MetadataResponse) -> Result<ClusterView, String> {
    let brokers = answer.brokers.iter().filter_map(|broker| {
        Some(Endpoint {
            broker: BrokerId(broker.node_id.0),
            host: broker.host.to_string(),
            port: u16::try_from(broker.port).ok()?,
        })
    });
    let mut names = BTreeSet::new();
    let mut topics = Vec::new();
    let mut unnameable = Vec::new();
    for told in &answer.topics {
        let name = told.name.as_ref().map_or("", |name| name.as_str());
        let Some(name) = TopicName::new(name) else {
            unnameable.push(name.to_owned());
            continue;
        };
        let view = topic_view(name, told)?;
        if !names.insert(view.name.clone()) {
            return Err(format!("the topic {} comes twice", view.name));
        }
        topics.push(view);
    }
    Ok(ClusterView {
        cluster_id: answer
            .cluster_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        brokers: brokers.collect(),
        topics,
        unnameable,
    })
}

fn topic_view(name: TopicName, topic: &MetadataResponseTopic) -> Result<TopicView, String> {
    let id = match TopicId::new(topic.topic_id.into_bytes()) {
        TopicId::ZERO => TopicId::of_name(&name),
        id => id,
    };
    let views = topic.partitions.iter().map(|told| {
        let index = told.partition_index;
        partition_view(told).ok_or_else(|| format!("{name} has a partition {index}"))
    });
    let mut partitions = views.collect::<Result<Vec<PartitionView>, String>>()?;
    partitions.sort_by_key(|partition| partition.index);
    for (one, next) in partitions.iter().zip(partitions.iter().skip(1)) {
        if one.index == next.index {
            return Err(format!("{name} has its partition {} twice", one.index));
        }
    }
    Ok(TopicView {
        name,
        id,
        error: ErrorCode(topic.error_code),
        partitions,
    })
}

fn partition_view(partition: &MetadataResponsePartition) -> Option<PartitionView> {
    let leader = partition.leader_id.0;
    let ids = |nodes: &[WireBroker]| nodes.iter().map(|node| BrokerId(node.0)).collect();
    Some(PartitionView {
        index: PartitionIndex::new(partition.partition_index)?,
        leader: (leader >= 0).then_some(BrokerId(leader)),
        epoch: LeaderEpoch::new(partition.leader_epoch),
        replicas: ids(&partition.replica_nodes),
        in_sync: ids(&partition.isr_nodes),
    })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TopicName as WireName;
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn topic(name: &str, partitions: &[i32]) -> MetadataResponseTopic {
        let partition =
            |index: &i32| MetadataResponsePartition::default().with_partition_index(*index);
        let name = WireName(StrBytes::from_string(name.to_owned()));
        MetadataResponseTopic::default()
            .with_name(Some(name))
            .with_partitions(partitions.iter().map(partition).collect())
    }

    fn told(topics: &[MetadataResponseTopic]) -> Result<ClusterView, String> {
        read(&MetadataResponse::default().with_topics(topics.to_vec()))
    }

    #[test]
    fn partitions_come_in_their_order() {
        let view = told(&[topic("a", &[2, 0, 1]), topic("b", &[])]).expect("it is sound");
        let indexes = view.topics[0]
            .partitions
            .iter()
            .map(|one| one.index.value());
        assert_eq!(indexes.collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let cases = [
            (vec![topic("a", &[0, -1])], "a has a partition -1"),
            (vec![topic("a", &[1, 0, 1])], "a has its partition 1 twice"),
            (
                vec![topic("a", &[0]), topic("a", &[1])],
                "the topic a comes twice",
            ),
        ];
        for (topics, why) in cases {
            let said = told(&topics).expect_err(why);
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_topic_that_cannot_be_named_is_left_out_alone() {
        let nameless = MetadataResponseTopic::default();
        let odd = topic("a/b\n", &[0, 0, -1]);
        let view = told(&[topic("a", &[0]), odd, nameless, topic("b", &[0])]);
        let view = view.expect("the others are sound");
        let names = view.topics.iter().map(|topic| topic.name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(view.unnameable, ["a/b\n", ""]);
    }
}
