//! Topics and partitions, as the metadata log has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Delta, ImageFault};
use crate::model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId, TopicName};
use crate::protocol::metadata_record::{NewPartition, PartitionChange, Recovery};

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Who has it; the first is the preferred leader.
    pub replicas: Vec<BrokerId>,
    /// Who of them is in sync.
    pub isr: Vec<BrokerId>,
    /// Who is to lose it.
    pub removing: Vec<BrokerId>,
    /// Who is to get it.
    pub adding: Vec<BrokerId>,
    /// Who leads it.
    pub leader: Option<BrokerId>,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Counts all changes.
    pub partition_epoch: i32,
    /// Whether the leader has to recover.
    pub recovery: Recovery,
    /// Who else may be elected cleanly.
    pub elr: Vec<BrokerId>,
    /// Who was last known to be of those.
    pub last_known_elr: Vec<BrokerId>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Its partitions, by number.
    pub partitions: BTreeMap<PartitionIndex, Partition>,
}

/// All topics. Images share what has not changed between them: there is one for each change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    by_id: BTreeMap<TopicId, Arc<Topic>>,
    by_name: Arc<BTreeMap<TopicName, TopicId>>,
}

impl Topics {
    /// A topic by its id.
    #[must_use]
    pub fn get(&self, id: TopicId) -> Option<&Topic> {
        self.by_id.get(&id).map(Arc::as_ref)
    }

    /// A topic's id by its name.
    #[must_use]
    pub fn id_of(&self, name: &TopicName) -> Option<TopicId> {
        self.by_name.get(name).copied()
    }

    /// A partition by its topic's id and its number.
    #[must_use]
    pub fn partition(&self, topic: TopicId, partition: PartitionIndex) -> Option<&Partition> {
        self.by_id.get(&topic)?.partitions.get(&partition)
    }

    /// All, by their ids.
    pub fn iter(&self) -> impl Iterator<Item = (TopicId, &Topic)> {
        self.by_id.iter().map(|(id, topic)| (*id, topic.as_ref()))
    }

    pub(super) fn add(&mut self, name: TopicName, id: TopicId) -> Result<(), ImageFault> {
        if self.by_name.contains_key(&name) || self.by_id.contains_key(&id) {
            return Err(ImageFault::NameTaken { name });
        }
        Arc::make_mut(&mut self.by_name).insert(name.clone(), id);
        let partitions = BTreeMap::new();
        let topic = Topic { name, partitions };
        self.by_id.insert(id, Arc::new(topic));
        Ok(())
    }

    pub(super) fn remove(
        &mut self,
        id: TopicId,
        delta: &mut Delta,
    ) -> Result<TopicName, ImageFault> {
        let gone = self.by_id.remove(&id);
        let gone = gone.ok_or(ImageFault::NoTopic { topic: id })?;
        for (number, partition) in &gone.partitions {
            delta.partition(id, *number, &gone.name, Some(partition));
        }
        Arc::make_mut(&mut self.by_name).remove(&gone.name);
        Ok(gone.name.clone())
    }

    fn topic(&mut self, topic: TopicId) -> Result<&mut Topic, ImageFault> {
        let found = self.by_id.get_mut(&topic);
        let found = found.ok_or(ImageFault::NoTopic { topic })?;
        Ok(Arc::make_mut(found))
    }

    pub(super) fn put(
        &mut self,
        record: NewPartition,
        delta: &mut Delta,
    ) -> Result<(), ImageFault> {
        let (id, number) = (record.topic, record.partition);
        let topic = self.topic(id)?;
        delta.partition(id, number, &topic.name, topic.partitions.get(&number));
        let partition = Partition {
            replicas: record.replicas,
            isr: record.isr,
            removing: record.removing,
            adding: record.adding,
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            recovery: record.recovery,
            elr: record.elr,
            last_known_elr: record.last_known_elr,
        };
        topic.partitions.insert(number, partition);
        Ok(())
    }

    pub(super) fn change(
        &mut self,
        change: PartitionChange,
        delta: &mut Delta,
    ) -> Result<(), ImageFault> {
        let (id, number) = (change.topic, change.partition);
        let topic = self.topic(id)?;
        let name = topic.name.clone();
        let found = topic.partitions.get_mut(&number);
        let partition = found.ok_or_else(|| ImageFault::NoPartition {
            name: name.clone(),
            partition: number,
        })?;
        delta.partition(id, number, &name, Some(partition));
        let merged = partition.merge(change);
        merged.ok_or(ImageFault::EpochsRunOut {
            name,
            partition: number,
        })
    }

    /// Eligible replicas beside those in sync are forgotten, in all topics or in one.
    pub(super) fn clear_elr(
        &mut self,
        name: Option<&TopicName>,
        delta: &mut Delta,
    ) -> Result<(), ImageFault> {
        let ids: Vec<TopicId> = match name {
            None => self.by_id.keys().copied().collect(),
            Some(name) => {
                let none = || ImageFault::NoName { name: name.clone() };
                vec![self.id_of(name).ok_or_else(none)?]
            }
        };
        for id in ids {
            let with_elr = self.topic(id)?.partitions.iter();
            let with_elr = with_elr
                .filter(|(_, part)| !part.elr.is_empty() || !part.last_known_elr.is_empty());
            let numbers: Vec<PartitionIndex> = with_elr.map(|(number, _)| *number).collect();
            for number in numbers {
                let mut change = PartitionChange::of(id, number);
                change.elr = Some(Vec::new());
                change.last_known_elr = Some(Vec::new());
                self.change(change, delta)?;
            }
        }
        Ok(())
    }
}

impl Partition {
    /// Every change is a new partition epoch, and every leader that is told a new leader epoch.
    /// `None` where an epoch cannot be counted any further.
    fn merge(&mut self, change: PartitionChange) -> Option<()> {
        let keep = |ids: &mut Vec<BrokerId>, new: Option<Vec<BrokerId>>| {
            if let Some(new) = new {
                *ids = new;
            }
        };
        keep(&mut self.isr, change.isr);
        keep(&mut self.replicas, change.replicas);
        keep(&mut self.removing, change.removing);
        keep(&mut self.adding, change.adding);
        keep(&mut self.elr, change.elr);
        keep(&mut self.last_known_elr, change.last_known_elr);
        if let Some(leader) = change.leader {
            self.leader = leader;
            self.leader_epoch = LeaderEpoch::new(self.leader_epoch.value().checked_add(1)?);
        }
        self.recovery = change.recovery.unwrap_or(self.recovery);
        self.partition_epoch = self.partition_epoch.checked_add(1)?;
        Some(())
    }
}
