//! What a whole batch of records has changed, for a broker that asks what that means for it.

use std::collections::{BTreeMap, BTreeSet};

use super::configs::ResourceKind;
use super::{Image, Partition};
use crate::model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId, TopicName, TopicPartition};

/// What was touched, and what was there before it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    partitions: BTreeMap<(TopicId, PartitionIndex), Before>,
    brokers: BTreeSet<BrokerId>,
    configs: BTreeSet<(ResourceKind, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Before {
    topic: TopicName,
    was: Option<Partition>,
}

/// What a broker has to do with a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads it.
    Lead,
    /// It follows this one.
    Follow(BrokerId),
    /// It has a replica of what nobody leads.
    Wait,
    /// It has none, or no longer.
    Absent,
}

/// A broker's role and the terms of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The role.
    pub role: Role,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Counts all changes.
    pub partition_epoch: i32,
}

/// A partition that names us, or did, and has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionNews {
    /// Which.
    pub id: TopicPartition,
    /// Its topic's id.
    pub topic_id: TopicId,
    /// What we had to do with it before.
    pub was: Role,
    /// What we have to do with it now.
    pub now: Standing,
    /// All that is said of it; none where it is gone.
    pub partition: Option<Partition>,
}

impl Delta {
    pub(super) fn broker(&mut self, id: BrokerId) {
        self.brokers.insert(id);
    }

    pub(super) fn config(&mut self, kind: i8, resource: &str) {
        self.configs
            .insert((ResourceKind(kind), resource.to_owned()));
    }

    /// Only the first touch of a batch sees what was there before it.
    pub(super) fn partition(
        &mut self,
        topic: TopicId,
        partition: PartitionIndex,
        name: &TopicName,
        was: Option<&Partition>,
    ) {
        self.partitions
            .entry((topic, partition))
            .or_insert_with(|| Before {
                topic: name.clone(),
                was: was.cloned(),
            });
    }

    /// Whether nothing was touched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty() && self.brokers.is_empty() && self.configs.is_empty()
    }

    /// Brokers of which anything was said.
    #[must_use]
    pub fn brokers(&self) -> &BTreeSet<BrokerId> {
        &self.brokers
    }

    /// Things of which a setting was set or removed.
    #[must_use]
    pub fn configs(&self) -> &BTreeSet<(ResourceKind, String)> {
        &self.configs
    }

    /// The partitions that name `us` in `image` or did before, and have changed.
    #[must_use]
    pub fn partitions_of(&self, us: BrokerId, image: &Image) -> Vec<PartitionNews> {
        let touched = self.partitions.iter();
        let news = touched.filter_map(|((topic_id, number), before)| {
            let now = image.topics.partition(*topic_id, *number);
            let was = role(us, before.was.as_ref());
            let standing = standing(us, now);
            let concerns = was != Role::Absent || standing.role != Role::Absent;
            (concerns && before.was.as_ref() != now).then(|| PartitionNews {
                id: TopicPartition {
                    topic: before.topic.clone(),
                    partition: *number,
                },
                topic_id: *topic_id,
                was,
                now: standing,
                partition: now.cloned(),
            })
        });
        news.collect()
    }
}

impl Image {
    /// All partitions that name `us`, as if each had just appeared.
    #[must_use]
    pub fn partitions_of(&self, us: BrokerId) -> Vec<PartitionNews> {
        let mut all = Vec::new();
        for (topic_id, topic) in self.topics.iter() {
            for (number, partition) in &topic.partitions {
                let now = standing(us, Some(partition));
                if now.role != Role::Absent {
                    all.push(PartitionNews {
                        id: TopicPartition {
                            topic: topic.name.clone(),
                            partition: *number,
                        },
                        topic_id,
                        was: Role::Absent,
                        now,
                        partition: Some(partition.clone()),
                    });
                }
            }
        }
        all
    }
}

fn role(us: BrokerId, partition: Option<&Partition>) -> Role {
    let Some(partition) = partition.filter(|partition| partition.replicas.contains(&us)) else {
        return Role::Absent;
    };
    match partition.leader {
        None => Role::Wait,
        Some(leader) if leader == us => Role::Lead,
        Some(leader) => Role::Follow(leader),
    }
}

fn standing(us: BrokerId, partition: Option<&Partition>) -> Standing {
    Standing {
        role: role(us, partition),
        leader_epoch: partition.map_or(LeaderEpoch::NONE, |partition| partition.leader_epoch),
        partition_epoch: partition.map_or(-1, |partition| partition.partition_epoch),
    }
}
