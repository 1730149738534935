//! Requests that change a cluster: who holds a partition, and how a topic is set.

use std::collections::BTreeMap;
use std::fmt;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId as WireBroker, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, TopicName as WireName,
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
    fn of(code: i16, said: Option<&StrBytes>) -> Option<Refusal> {
        let code = ErrorCode(code);
        code.is_error().then(|| Refusal {
            code,
            said: said.map(ToString::to_string).unwrap_or_default(),
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.said.is_empty() {
            true => self.code.fmt(f),
            false => write!(f, "{}: {}", self.code, self.said),
        }
    }
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
