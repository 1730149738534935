//! The source's topics as last seen, and what a new view changes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Selection;
use crate::model::{BrokerId, Instant, LeaderEpoch, TopicId, TopicName, TopicPartition};
use crate::session::{ClusterView, TopicView};
use crate::shard::inbox::Cause;

/// One broker's metadata may lag: a topic is gone when so many views in a row lack it ...
const ABSENCES_MIN: u32 = 3;
/// ... over so long a time.
const ABSENT_FOR: Duration = Duration::from_secs(8);

/// What a view of the source brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A partition that was not known.
    Appeared {
        id: TopicPartition,
        topic_id: TopicId,
    },
    /// A partition's leader.
    Led {
        id: TopicPartition,
        leader: BrokerId,
        epoch: LeaderEpoch,
    },
    /// A partition that goes no further, since its topic does not.
    Ended { id: TopicPartition, cause: Cause },
}

/// The topics that are meant, by name.
#[derive(Debug)]
pub(super) struct Catalogue {
    selection: Selection,
    topics: BTreeMap<TopicName, Topic>,
    /// Names that no topic can have, as last warned of.
    unnameable: Vec<String>,
}

#[derive(Debug)]
struct Topic {
    id: TopicId,
    partitions: BTreeMap<TopicPartition, Option<(BrokerId, LeaderEpoch)>>,
    /// It goes no further.
    ended: Option<Cause>,
    absences: u32,
    absent_since: Option<Instant>,
}

impl Topic {
    fn new(id: TopicId) -> Topic {
        Topic {
            id,
            partitions: BTreeMap::new(),
            ended: None,
            absences: 0,
            absent_since: None,
        }
    }
}

impl Catalogue {
    /// Knows only which ids the topics had that the vault holds.
    pub(super) fn new(
        selection: Selection,
        held: impl Iterator<Item = (TopicName, TopicId)>,
    ) -> Catalogue {
        Catalogue {
            selection,
            topics: held.map(|(name, id)| (name, Topic::new(id))).collect(),
            unnameable: Vec::new(),
        }
    }

    /// Takes in a view of all topics.
    pub(super) fn take(&mut self, now: Instant, view: &ClusterView) -> Vec<Change> {
        self.warn_of(&view.unnameable);
        let mut changes = Vec::new();
        for seen in view
            .topics
            .iter()
            .filter(|seen| self.selection.takes(&seen.name))
        {
            let fresh = || Topic::new(seen.id);
            let topic = self.topics.entry(seen.name.clone()).or_insert_with(fresh);
            topic.seen(seen, &mut changes);
        }
        for (name, topic) in &mut self.topics {
            if !view.topics.iter().any(|seen| seen.name == *name) {
                topic.missed(now, &mut changes);
            }
        }
        changes
    }

    /// Warns of topics that cannot be mirrored for their names, where they are other ones.
    fn warn_of(&mut self, unnameable: &[String]) {
        if self.unnameable == unnameable {
            return;
        }
        self.unnameable = unnameable.to_vec();
        if let Some(first) = unnameable.first() {
            tracing::warn!(
                "the source has {} topics with names that no topic can have: they are left out, \
                 among them '{}'",
                unnameable.len(),
                first.escape_debug()
            );
        }
    }

    /// Why a partition goes no further, where its topic does not.
    pub(super) fn ended(&self, id: &TopicPartition) -> Option<&Cause> {
        self.topics.get(&id.topic)?.ended.as_ref()
    }

    /// A partition's leader, if it is known and has one.
    pub(super) fn leader(&self, id: &TopicPartition) -> Option<(BrokerId, LeaderEpoch)> {
        *self.topics.get(&id.topic)?.partitions.get(id)?
    }
}

impl Topic {
    fn seen(&mut self, seen: &TopicView, changes: &mut Vec<Change>) {
        self.absences = 0;
        self.absent_since = None;
        if !seen.id.agrees(self.id, &seen.name) {
            let cause = Cause::TopicRecreated {
                held: self.id,
                now: seen.id,
            };
            // Its partitions by the new topic's number, so that a restart refuses each by name.
            for partition in &seen.partitions {
                let id = name(seen, partition.index);
                self.partitions.entry(id).or_insert(None);
            }
            return self.end(cause, changes);
        }
        // A topic that was only missing is back.
        self.ended = None;
        for partition in &seen.partitions {
            let id = name(seen, partition.index);
            let known = self.partitions.get(&id).copied();
            if known.is_none() {
                let topic_id = self.id;
                changes.push(Change::Appeared {
                    id: id.clone(),
                    topic_id,
                });
            }
            let before = known.flatten();
            let led = partition.leader.map(|leader| (leader, partition.epoch));
            if let Some((leader, epoch)) = led
                && before.is_none_or(|(_, before)| before < epoch)
            {
                changes.push(Change::Led {
                    id: id.clone(),
                    leader,
                    epoch,
                });
            }
            self.partitions.insert(id, led.or(before));
        }
    }

    fn missed(&mut self, now: Instant, changes: &mut Vec<Change>) {
        if self.partitions.is_empty() {
            return;
        }
        self.absences += 1;
        let since = *self.absent_since.get_or_insert(now);
        if self.absences >= ABSENCES_MIN && now.since(since) >= ABSENT_FOR {
            self.end(Cause::TopicDeleted, changes);
        }
    }

    fn end(&mut self, cause: Cause, changes: &mut Vec<Change>) {
        if self.ended == Some(cause) {
            return;
        }
        self.ended = Some(cause);
        let ids = self.partitions.keys().cloned();
        changes.extend(ids.map(|id| Change::Ended { id, cause }));
    }
}

fn name(seen: &TopicView, partition: crate::model::PartitionIndex) -> TopicPartition {
    TopicPartition {
        topic: seen.name.clone(),
        partition,
    }
}

#[cfg(test)]
mod tests;
