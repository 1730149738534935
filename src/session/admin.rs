//! Requests that change a cluster: who holds a partition, who leads it, and how a topic is set.

use std::collections::BTreeMap;
use std::fmt;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId as WireBroker, DescribeConfigsRequest,
    ElectLeadersRequest, IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest,
    TopicName as WireName,
};
use kafka_protocol::protocol::StrBytes;

use super::calls::{TOPIC, by_topic, partition, text};
use super::{Client, SessionFault};
use crate::io::World;
use crate::model::{BrokerId, TopicName, TopicPartition};
use crate::protocol::ErrorCode;

/// `DescribeConfigsResponse.ConfigSource.TOPIC_CONFIG`: set for the topic itself.
const OWN: i8 = 1;
/// `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;
/// `ElectionType.PREFERRED`.
const PREFERRED: i8 = 0;

/// Why the cluster does not do one thing of those that it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its error.
    pub code: ErrorCode,
    /// What it says about it; empty where it says nothing.
    pub said: String,
}

/// What was refused; all else was done.
pub type Refusals<T> = BTreeMap<T, Refusal>;

impl Refusal {
    pub(super) fn of(code: i16, said: Option<&StrBytes>) -> Option<Refusal> {
        let code = ErrorCode(code);
        code.is_error().then(|| Refusal {
            code,
            said: said.map(ToString::to_string).unwrap_or_default(),
        })
    }

    /// An answer that leaves out what was asked for.
    pub(super) fn silence() -> Refusal {
        Refusal {
            code: ErrorCode::UNKNOWN_SERVER_ERROR,
            said: "the answer does not mention it".to_owned(),
        }
    }
}

/// What was refused of what was asked for; whatever the answer leaves out counts as refused.
pub(super) fn unanswered<'a, T: Ord + Clone + 'a>(
    asked: impl Iterator<Item = &'a T>,
    mut told: BTreeMap<T, Option<Refusal>>,
) -> Refusals<T> {
    let refused = asked.filter_map(|one| {
        let refusal = told.remove(one).unwrap_or_else(|| Some(Refusal::silence()));
        Some((one.clone(), refusal?))
    });
    refused.collect()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.said.is_empty() {
            true => self.code.fmt(f),
            false => write!(f, "{}: {}", self.code, self.said),
        }
    }
}

/// Replicas that come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    /// All replicas, those that go among them.
    pub replicas: Vec<BrokerId>,
    /// Those that are not there yet.
    pub adding: Vec<BrokerId>,
    /// Those that are to go.
    pub removing: Vec<BrokerId>,
}

impl<W: World> Client<W> {
    /// Gives partitions other replicas, the first preferred; `None` takes back what was wanted and
    /// is not there yet. The answer does not wait for the replicas. Where nothing is wanted,
    /// nothing is asked.
    ///
    /// # Errors
    /// No answer that can be used, or all is refused.
    pub async fn reassign<'a>(
        &mut self,
        wanted: impl Iterator<Item = (&'a TopicPartition, Option<Vec<BrokerId>>)>,
    ) -> Result<Refusals<TopicPartition>, SessionFault> {
        let wire = |brokers: Vec<BrokerId>| brokers.iter().map(|id| WireBroker(id.0)).collect();
        let topics = by_topic(wanted.map(|(id, replicas)| {
            let partition = ReassignablePartition::default()
                .with_partition_index(id.partition.value())
                .with_replicas(replicas.map(wire));
            (&id.topic, partition)
        }));
        if topics.is_empty() {
            return Ok(Refusals::new());
        }
        let topics = topics.into_iter().map(|(name, partitions)| {
            ReassignableTopic::default()
                .with_name(WireName(text(name.as_str())))
                .with_partitions(partitions)
        });
        let request = AlterPartitionReassignmentsRequest::default().with_topics(topics.collect());
        let answer = self.call(&request).await?;
        self.refused::<AlterPartitionReassignmentsRequest>(answer.error_code)?;
        let refused = answer.responses.iter().flat_map(|topic| {
            topic.partitions.iter().filter_map(|reply| {
                let refusal = Refusal::of(reply.error_code, reply.error_message.as_ref())?;
                Some((partition(&topic.name, reply.partition_index)?, refusal))
            })
        });
        Ok(refused.collect())
    }

    /// The reassignments that are under way.
    ///
    /// # Errors
    /// No answer that can be used, or it is refused.
    pub async fn reassignments(
        &mut self,
    ) -> Result<BTreeMap<TopicPartition, Reassignment>, SessionFault> {
        let request = ListPartitionReassignmentsRequest::default()
            .with_timeout_ms(self.timeout_ms())
            .with_topics(None);
        let answer = self.call(&request).await?;
        self.refused::<ListPartitionReassignmentsRequest>(answer.error_code)?;
        let ids = |nodes: &[WireBroker]| nodes.iter().map(|node| BrokerId(node.0)).collect();
        let told = answer.topics.iter().flat_map(|topic| {
            topic.partitions.iter().filter_map(|reply| {
                let reassignment = Reassignment {
                    replicas: ids(&reply.replicas),
                    adding: ids(&reply.adding_replicas),
                    removing: ids(&reply.removing_replicas),
                };
                Some((partition(&topic.name, reply.partition_index)?, reassignment))
            })
        });
        Ok(told.collect())
    }

    /// Lets the preferred replica of each partition lead it. One that leads already is refused
    /// with `ELECTION_NOT_NEEDED`, one that is not in sync with `PREFERRED_LEADER_NOT_AVAILABLE`.
    ///
    /// # Errors
    /// No answer that can be used, or all is refused.
    pub async fn elect_preferred(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Refusals<TopicPartition>, SessionFault> {
        if partitions.is_empty() {
            return Ok(Refusals::new());
        }
        let numbers = partitions
            .iter()
            .map(|id| (&id.topic, id.partition.value()));
        let topics = by_topic(numbers).into_iter().map(|(name, numbers)| {
            TopicPartitions::default()
                .with_topic(WireName(text(name.as_str())))
                .with_partitions(numbers)
        });
        let request = ElectLeadersRequest::default()
            .with_election_type(PREFERRED)
            .with_topic_partitions(Some(topics.collect()))
            .with_timeout_ms(self.timeout_ms());
        let answer = self.call(&request).await?;
        self.refused::<ElectLeadersRequest>(answer.error_code)?;
        let told = answer.replica_election_results.iter().flat_map(|topic| {
            topic.partition_result.iter().filter_map(|reply| {
                let refusal = Refusal::of(reply.error_code, reply.error_message.as_ref());
                Some((partition(&topic.topic, reply.partition_id)?, refusal))
            })
        });
        Ok(unanswered(partitions.iter(), told.collect()))
    }

    /// One setting as topics have it of their own; those that have not are left out.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn own_setting(
        &mut self,
        topics: impl Iterator<Item = &TopicName>,
        setting: &'static str,
    ) -> Result<BTreeMap<TopicName, String>, SessionFault> {
        let resources = topics.map(|name| {
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(text(name.as_str()))
                .with_configuration_keys(Some(vec![StrBytes::from_static_str(setting)]))
        });
        let request = DescribeConfigsRequest::default().with_resources(resources.collect());
        let answer = self.call(&request).await?;
        let own = answer.results.iter().filter_map(|result| {
            let mut configs = result.configs.iter();
            let config =
                configs.find(|config| &*config.name == setting && config.config_source == OWN)?;
            let name = TopicName::new(&result.resource_name)?;
            Some((name, config.value.as_ref()?.to_string()))
        });
        Ok(own.collect())
    }

    /// Sets one setting of topics; `None` gives it up, so that the cluster's holds.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn set<'a>(
        &mut self,
        setting: &'static str,
        values: impl Iterator<Item = (&'a TopicName, Option<&'a str>)>,
    ) -> Result<Refusals<TopicName>, SessionFault> {
        let resources = values.map(|(name, value)| {
            let config = AlterableConfig::default()
                .with_name(StrBytes::from_static_str(setting))
                .with_config_operation(if value.is_some() { SET } else { DELETE })
                .with_value(value.map(text));
            AlterConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(text(name.as_str()))
                .with_configs(vec![config])
        });
        let request = IncrementalAlterConfigsRequest::default().with_resources(resources.collect());
        let answer = self.call(&request).await?;
        let refused = answer.responses.iter().filter_map(|reply| {
            let refusal = Refusal::of(reply.error_code, reply.error_message.as_ref())?;
            Some((TopicName::new(&reply.resource_name)?, refusal))
        });
        Ok(refused.collect())
    }
}
