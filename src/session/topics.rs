//! Requests that make topics, let them grow, and delete them, and what was set of them by whom.

use std::collections::BTreeMap;

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{
    BrokerId as WireBroker, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, TopicName as WireName,
};

use super::admin::{Refusal, Refusals, unanswered};
use super::calls::{TOPIC, text};
use super::{Client, SessionFault};
use crate::io::World;
use crate::model::{BrokerId, TopicId, TopicName};

/// `ConfigResource.Type.BROKER`.
const BROKER: i8 = 4;

/// A topic as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// Who has each of its partitions, by their numbers; the first of each is preferred.
    pub assignment: Vec<Vec<BrokerId>>,
    /// What is to be set of it.
    pub settings: BTreeMap<String, String>,
}

/// Partitions that a topic is to have beside those that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The topic.
    pub name: TopicName,
    /// How many it has.
    pub from: usize,
    /// Who has each of the new ones; the first of each is preferred.
    pub assignment: Vec<Vec<BrokerId>>,
}

/// Whether a request is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// Only looked at, as far as can be told without doing it.
    Only,
    /// Carried out.
    No,
}

/// Where a setting's value comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Set for the thing itself.
    Own,
    /// Set for this broker while it runs.
    Broker,
    /// Set for all brokers while they run.
    AllBrokers,
    /// The broker's own file.
    File,
    /// Kafka's default.
    Default,
    /// A source that we do not know.
    Other(i8),
}

impl Origin {
    fn of(code: i8) -> Origin {
        match code {
            1 => Origin::Own,
            2 => Origin::Broker,
            3 => Origin::AllBrokers,
            4 => Origin::File,
            5 => Origin::Default,
            other => Origin::Other(other),
        }
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its value; none where it has none, or is a secret.
    pub value: Option<String>,
    /// Who has set it.
    pub origin: Origin,
}

/// All settings of one thing, by their names.
pub type Settings = BTreeMap<String, Setting>;

impl<W: World> Client<W> {
    /// Makes topics, and tells their ids. The answer does not wait until their leaders lead.
    /// Where there are none, nothing is asked.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn create_topics(
        &mut self,
        topics: &[NewTopic],
        trial: Trial,
    ) -> Result<BTreeMap<TopicName, Result<TopicId, Refusal>>, SessionFault> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let request = CreateTopicsRequest::default()
            .with_topics(topics.iter().map(creatable).collect())
            .with_timeout_ms(self.timeout_ms())
            .with_validate_only(trial == Trial::Only);
        let answer = self.call(&request).await?;
        let told = answer.topics.iter().filter_map(|reply| {
            let outcome = match Refusal::of(reply.error_code, reply.error_message.as_ref()) {
                Some(refusal) => Err(refusal),
                None => Ok(TopicId::new(reply.topic_id.into_bytes())),
            };
            Some((TopicName::new(&reply.name)?, outcome))
        });
        let mut told: BTreeMap<TopicName, Result<TopicId, Refusal>> = told.collect();
        for topic in topics {
            told.entry(topic.name.clone())
                .or_insert_with(|| Err(Refusal::silence()));
        }
        Ok(told)
    }

    /// Lets topics grow.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn create_partitions(
        &mut self,
        growths: &[Growth],
        trial: Trial,
    ) -> Result<Refusals<TopicName>, SessionFault> {
        if growths.is_empty() {
            return Ok(Refusals::new());
        }
        let topics = growths.iter().map(|growth| {
            let count = growth.from + growth.assignment.len();
            let assignment = growth.assignment.iter();
            let assignment = assignment.map(|replicas| {
                CreatePartitionsAssignment::default().with_broker_ids(wire(replicas))
            });
            CreatePartitionsTopic::default()
                .with_name(WireName(text(growth.name.as_str())))
                .with_count(i32::try_from(count).unwrap_or(i32::MAX))
                .with_assignments(Some(assignment.collect()))
        });
        let request = CreatePartitionsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(self.timeout_ms())
            .with_validate_only(trial == Trial::Only);
        let answer = self.call(&request).await?;
        let told = answer.results.iter().filter_map(|reply| {
            let refusal = Refusal::of(reply.error_code, reply.error_message.as_ref());
            Some((TopicName::new(&reply.name)?, refusal))
        });
        Ok(unanswered(
            growths.iter().map(|growth| &growth.name),
            told.collect(),
        ))
    }

    /// Deletes topics with all that is in them.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn delete_topics(
        &mut self,
        names: &[TopicName],
    ) -> Result<Refusals<TopicName>, SessionFault> {
        if names.is_empty() {
            return Ok(Refusals::new());
        }
        let topics = names
            .iter()
            .map(|name| DeleteTopicState::default().with_name(Some(WireName(text(name.as_str())))));
        let request = DeleteTopicsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(self.timeout_ms());
        let answer = self.call(&request).await?;
        let told = answer.responses.iter().filter_map(|reply| {
            let refusal = Refusal::of(reply.error_code, reply.error_message.as_ref());
            Some((TopicName::new(reply.name.as_ref()?)?, refusal))
        });
        Ok(unanswered(names.iter(), told.collect()))
    }

    /// All settings of topics and who has set them, or why they are not told.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn topic_settings_by_origin(
        &mut self,
        topics: &[TopicName],
    ) -> Result<BTreeMap<TopicName, Result<Settings, Refusal>>, SessionFault> {
        let names = topics.iter().map(TopicName::as_str);
        let mut told = self.describe(TOPIC, names, None).await?;
        let one = |name: &TopicName| {
            let settings = told.remove(name.as_str());
            (name.clone(), settings.unwrap_or(Err(Refusal::silence())))
        };
        Ok(topics.iter().map(one).collect())
    }

    /// Some settings of the broker that is asked, by its own id, or why they are not told.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn broker_settings(
        &mut self,
        broker: BrokerId,
        names: &[&'static str],
    ) -> Result<Result<Settings, Refusal>, SessionFault> {
        let id = broker.to_string();
        let mut told = self
            .describe(BROKER, [&*id].into_iter(), Some(names))
            .await?;
        Ok(told.remove(&id).unwrap_or(Err(Refusal::silence())))
    }

    async fn describe<'a>(
        &mut self,
        kind: i8,
        resources: impl Iterator<Item = &'a str>,
        names: Option<&[&str]>,
    ) -> Result<BTreeMap<String, Result<Settings, Refusal>>, SessionFault> {
        let keys = names.map(|names| names.iter().map(|name| text(name)).collect::<Vec<_>>());
        let resources = resources.map(|resource| {
            DescribeConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(text(resource))
                .with_configuration_keys(keys.clone())
        });
        let request = DescribeConfigsRequest::default().with_resources(resources.collect());
        let answer = self.call(&request).await?;
        let told = answer.results.iter().map(|result| {
            let settings = result.configs.iter().map(|config| {
                let setting = Setting {
                    value: config.value.as_ref().map(ToString::to_string),
                    origin: Origin::of(config.config_source),
                };
                (config.name.to_string(), setting)
            });
            let outcome = match Refusal::of(result.error_code, result.error_message.as_ref()) {
                Some(refusal) => Err(refusal),
                None => Ok(settings.collect()),
            };
            (result.resource_name.to_string(), outcome)
        });
        Ok(told.collect())
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assignments = (0..).zip(&topic.assignment).map(|(number, replicas)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(number)
            .with_broker_ids(wire(replicas))
    });
    let configs = topic.settings.iter().map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    });
    // With an assignment, both counts stand in it.
    CreatableTopic::default()
        .with_name(WireName(text(topic.name.as_str())))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(assignments.collect())
        .with_configs(configs.collect())
}

fn wire(replicas: &[BrokerId]) -> Vec<WireBroker> {
    replicas.iter().map(|id| WireBroker(id.0)).collect()
}
