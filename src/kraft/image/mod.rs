//! The cluster as its metadata log has it, and how each record changes that.
//!
//! A record that does not fit what is there (a change of a partition that does not exist, of a
//! broker in another life) is a fault: to go on would be to act on a wrong picture.

mod brokers;
mod configs;
mod delta;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{BrokerEpoch, BrokerId, PartitionIndex, ProducerId, TopicId, TopicName, Uuid};
use crate::protocol::metadata_record::MetadataRecord;

pub use brokers::{Broker, Brokers};
pub use configs::{Configs, ResourceKind};
pub use delta::{Delta, PartitionNews, Role, Standing};
pub use topics::{Partition, Topic, Topics};

/// The feature whose level says which records a controller writes.
pub const METADATA_VERSION: &str = "metadata.version";
/// The feature of the quorum itself, which is kept in control batches and not in records.
const KRAFT_VERSION: &str = "kraft.version";

/// Everything that the metadata log says, as far as we read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Brokers, by id.
    pub brokers: Brokers,
    /// Topics and their partitions.
    pub topics: Topics,
    /// Settings that somebody has set.
    pub configs: Configs,
    /// Features with a level.
    pub features: BTreeMap<String, i16>,
    /// Rights and denials, by id.
    pub rights: Arc<BTreeMap<Uuid, Right>>,
    /// Producer ids below it have been given out.
    pub next_producer: Option<ProducerId>,
}

/// A right or its denial, in Kafka's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// To what kind of thing.
    pub resource_kind: i8,
    /// To which one, or to those whose name begins so.
    pub resource: String,
    /// How the name is meant.
    pub pattern: i8,
    /// Whose right.
    pub principal: String,
    /// From where.
    pub host: String,
    /// To do what.
    pub operation: i8,
    /// Granted or denied.
    pub permission: i8,
}

/// A record that does not fit what is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageFault {
    /// No such broker, or not in this life.
    #[error("broker {broker} in epoch {epoch}, which is not there")]
    NoBroker {
        /// Which.
        broker: BrokerId,
        /// In which life.
        epoch: BrokerEpoch,
    },
    /// No such topic.
    #[error("a topic with id {topic}, which is not there")]
    NoTopic {
        /// Which.
        topic: TopicId,
    },
    /// No topic of this name.
    #[error("a topic {name}, which is not there")]
    NoName {
        /// Which.
        name: TopicName,
    },
    /// A name that is taken.
    #[error("a second topic {name}")]
    NameTaken {
        /// Which.
        name: TopicName,
    },
    /// No such partition.
    #[error("partition {partition} of {name}, which is not there")]
    NoPartition {
        /// Whose.
        name: TopicName,
        /// Which.
        partition: PartitionIndex,
    },
    /// Counted further than can be counted.
    #[error("partition {partition} of {name}: its epochs have run out")]
    EpochsRunOut {
        /// Whose.
        name: TopicName,
        /// Which.
        partition: PartitionIndex,
    },
    /// A right that was never given.
    #[error("the right {id}, which is not there")]
    NoRight {
        /// Which.
        id: Uuid,
    },
}

impl Image {
    /// Applies one record; `delta` remembers what was there before. Beginnings and ends of
    /// transactions are not for an image.
    ///
    /// # Errors
    /// The record does not fit; the image is of no use any more.
    pub fn apply(
        &mut self,
        record: MetadataRecord<'_>,
        delta: &mut Delta,
    ) -> Result<(), ImageFault> {
        use MetadataRecord as Is;
        match record {
            Is::RegisterBroker(record) => {
                delta.broker(record.broker);
                self.brokers.register(&record);
            }
            Is::UnregisterBroker { broker, epoch } => {
                delta.broker(broker);
                self.brokers.unregister(broker, epoch)?;
            }
            Is::FenceBroker { broker, epoch } => {
                delta.broker(broker);
                self.brokers.living(broker, epoch)?.is_fenced = true;
            }
            Is::UnfenceBroker { broker, epoch } => {
                delta.broker(broker);
                self.brokers.living(broker, epoch)?.is_fenced = false;
            }
            Is::RegistrationChange(change) => {
                delta.broker(change.broker);
                self.brokers.change(change)?;
            }
            Is::Topic { name, id } => self.topics.add(name, id)?,
            Is::RemoveTopic { id } => {
                let topic = self.topics.remove(id, delta)?;
                self.configs.forget_topic(&topic);
            }
            Is::Partition(record) => self.topics.put(record, delta)?,
            Is::PartitionChange(change) => self.topics.change(change, delta)?,
            Is::ClearElr { topic } => self.topics.clear_elr(topic.as_ref(), delta)?,
            Is::Config {
                kind,
                resource,
                name,
                value,
            } => {
                delta.config(kind, resource);
                self.configs.set(kind, resource, name, value);
            }
            Is::FeatureLevel { name, level } => self.set_feature(name, level),
            Is::ProducerIds { next } => self.next_producer = next,
            Is::AccessControlEntry(right) => {
                let entry = Right {
                    resource_kind: right.resource_kind,
                    resource: right.resource.to_owned(),
                    pattern: right.pattern,
                    principal: right.principal.to_owned(),
                    host: right.host.to_owned(),
                    operation: right.operation,
                    permission: right.permission,
                };
                self.rights_mut().insert(right.id, entry);
            }
            Is::RemoveAccessControlEntry { id } => {
                let gone = self.rights_mut().remove(&id);
                gone.ok_or(ImageFault::NoRight { id })?;
            }
            Is::BeginTransaction
            | Is::EndTransaction
            | Is::AbortTransaction
            | Is::Passed { .. } => {}
        }
        Ok(())
    }

    fn rights_mut(&mut self) -> &mut BTreeMap<Uuid, Right> {
        Arc::make_mut(&mut self.rights)
    }

    fn set_feature(&mut self, name: &str, level: i16) {
        match (name, level) {
            (KRAFT_VERSION, _) => {}
            (name, 0) => drop(self.features.remove(name)),
            (name, level) => drop(self.features.insert(name.to_owned(), level)),
        }
    }

    /// The number of replicas in sync without which a partition's high watermark stands still:
    /// never more than it has replicas. Where nothing is told of the topic, nor of all brokers,
    /// what stands in its leader's own file counts.
    #[must_use]
    pub fn min_isr(&self, topic: &TopicName, replicas: usize, own: u16) -> usize {
        let set = self.configs.effective(topic, "min.insync.replicas");
        let set = set.and_then(|value| value.parse::<usize>().ok());
        set.unwrap_or(own.into()).clamp(1, replicas.max(1))
    }
}

#[cfg(test)]
mod tests;
