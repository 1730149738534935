//! What lands on us though it is no mirror, and how it gets off again.
//!
//! A cluster places replicas of new topics on every broker that is registered, us among them. We
//! keep no data of theirs: a partition that we lead is a service that stands still. First those
//! replicas that are in sync go on without us, so that a leader is there at once; then the
//! partition gets back as many replicas as it had.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::fitness::is_ours;
use crate::kraft::{Image, Partition, PartitionNews, Role};
use crate::model::{BrokerId, LeaderEpoch, TopicId, TopicName, TopicPartition};
use crate::protocol::metadata_record::Recovery;

/// Topics of coordinators: nothing of their groups or transactions goes on while we lead them.
const COORDINATORS: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];

/// Who is to have a partition, the first preferred.
pub type Move = (TopicPartition, Vec<BrokerId>);

/// Evacuations that are under way.
#[derive(Debug, Default)]
pub struct Evacuation {
    /// What was asked for, of which topic and in which partition epoch: once in each.
    asked: BTreeMap<TopicPartition, (TopicId, i32)>,
    /// Who is to have those that we were on, once we are off.
    restoring: BTreeMap<TopicPartition, Restored>,
}

#[derive(Debug)]
struct Restored {
    topic: TopicId,
    replicas: Vec<BrokerId>,
    /// In which partition epoch it was asked for.
    asked: Option<i32>,
}

impl Evacuation {
    /// What is to be reassigned now, the most urgent first, as `image` has the cluster.
    /// `strangers` are those partitions that name us and are not ours.
    pub fn next_moves(
        &mut self,
        us: BrokerId,
        image: &Image,
        strangers: &[PartitionNews],
    ) -> Vec<Move> {
        let stock = stock(us, image);
        let here: BTreeSet<&TopicPartition> = strangers.iter().map(|news| &news.id).collect();
        self.asked.retain(|id, _| here.contains(id));
        let mut moves = self.restorations(us, image);
        let mut away = Vec::new();
        for news in strangers {
            let Some(partition) = &news.partition else {
                continue;
            };
            let asked = (news.topic_id, partition.partition_epoch);
            if self.asked.get(&news.id) == Some(&asked) {
                continue;
            }
            if let Some((to, then)) = decide(us, partition, &stock, &news.id) {
                self.asked.insert(news.id.clone(), asked);
                if then.len() > to.len() {
                    let restored = Restored {
                        topic: news.topic_id,
                        replicas: then,
                        asked: None,
                    };
                    // What it had at first counts, not what is left of it.
                    self.restoring.entry(news.id.clone()).or_insert(restored);
                }
                let urgency = Reverse(urgency(&news.id.topic, news.now.role));
                away.push((urgency, news.id.clone(), to));
            }
        }
        away.sort();
        let away = away.into_iter().map(|(_, id, to)| (id, to));
        moves.splice(0..0, away);
        moves
    }

    /// The destination has not taken a move: it is asked for again when this is called.
    pub fn refused(&mut self, id: &TopicPartition) {
        self.asked.remove(id);
        if let Some(restored) = self.restoring.get_mut(id) {
            restored.asked = None;
        }
    }

    /// Partitions that we are still on.
    #[must_use]
    pub fn count(&self) -> usize {
        self.asked.len()
    }

    /// Those that we are off, and that lack replicas.
    fn restorations(&mut self, us: BrokerId, image: &Image) -> Vec<Move> {
        let mut moves = Vec::new();
        self.restoring.retain(|id, restored| {
            let partition = image.topics.partition(restored.topic, id.partition);
            let Some(partition) = partition else {
                return false;
            };
            let is_on = partition.replicas.contains(&us);
            // Whoever is not registered any more gets none.
            let is_there = |broker: &BrokerId| image.brokers.get(*broker).is_some();
            restored.replicas.retain(is_there);
            let has = |broker: &BrokerId| partition.replicas.contains(broker);
            let is_whole = restored.replicas.iter().all(has);
            let epoch = Some(partition.partition_epoch);
            if !is_on && !is_whole && restored.asked != epoch {
                restored.asked = epoch;
                moves.push((id.clone(), restored.replicas.clone()));
            }
            is_on || !is_whole
        });
        moves
    }
}

/// We lead it, and nobody has any record of it: we take none, and nobody else has ever led it.
#[must_use]
pub fn is_surely_empty(us: BrokerId, partition: &Partition) -> bool {
    let is_first = partition.leader_epoch == LeaderEpoch::new(0);
    let is_untouched = is_first && partition.recovery == Recovery::Recovered;
    is_alone(us, partition) && (is_untouched || old_replicas(us, partition).is_empty())
}

/// We alone count as in sync, and have nothing of it: those brokers may have its records, and none
/// of them can become its leader as long as we are there.
#[must_use]
pub fn stranded(us: BrokerId, partition: &Partition) -> Option<Vec<BrokerId>> {
    let is_stranded = is_alone(us, partition) && !is_surely_empty(us, partition);
    is_stranded.then(|| old_replicas(us, partition))
}

fn is_alone(us: BrokerId, partition: &Partition) -> bool {
    partition.leader == Some(us) && partition.isr == [us]
}

/// Others who had it before anybody was asked to take it over.
fn old_replicas(us: BrokerId, partition: &Partition) -> Vec<BrokerId> {
    let others = partition.replicas.iter().filter(|broker| **broker != us);
    let old = others.filter(|broker| !partition.adding.contains(broker));
    old.copied().collect()
}

/// Brokers that may have replicas: no node of ours, alive, and with room for what is new.
fn stock(us: BrokerId, image: &Image) -> Vec<BrokerId> {
    let brokers = image.brokers.iter();
    let fit = brokers.filter(|(id, broker)| {
        let all_cordoned = !broker.directories.is_empty()
            && broker
                .directories
                .iter()
                .all(|directory| broker.cordoned.contains(directory));
        *id != us && !is_ours(broker) && broker.is_eligible() && !all_cordoned
    });
    fit.map(|(id, _)| id).collect()
}

fn urgency(topic: &TopicName, role: Role) -> (bool, bool) {
    let is_coordinators = COORDINATORS.contains(&topic.as_str());
    // Without a leader it stands still just the same.
    let stands_still = matches!(role, Role::Lead | Role::Wait);
    (is_coordinators, stands_still)
}

/// Who is to have one partition now, and who in the end. `None` where all is on its way, or nobody
/// can have it.
fn decide(
    us: BrokerId,
    partition: &Partition,
    stock: &[BrokerId],
    id: &TopicPartition,
) -> Option<(Vec<BrokerId>, Vec<BrokerId>)> {
    let is_leaving = |broker: &BrokerId| partition.removing.contains(broker);
    let staying = partition.replicas.iter().copied();
    let staying = staying.filter(|broker| *broker != us && !is_leaving(broker));
    let staying: Vec<BrokerId> = staying.collect();
    let wanted = partition.replicas.len() - partition.adding.len();
    let in_sync = staying.iter().copied();
    let in_sync: Vec<BrokerId> = in_sync
        .filter(|broker| partition.isr.contains(broker))
        .collect();
    let then = filled(&staying, wanted, stock, id);
    let are_leaving = is_leaving(&us);
    // Those that are in sync go on at once; the others come back afterwards.
    if !in_sync.is_empty() {
        return Some((in_sync, then));
    }
    // Somebody has to catch up with us first: the controller lets us go when they have. Whoever was
    // to, and has died since, has nothing of it.
    let has_died = |broker: &BrokerId| partition.adding.contains(broker) && !stock.contains(broker);
    let is_vain = staying.iter().all(has_died);
    let to = match is_vain {
        true => filled(&[], 1, stock, id),
        false => staying,
    };
    ((is_vain || !are_leaving) && !to.is_empty()).then_some((to, then))
}

/// These and as many others, different ones for each partition.
fn filled(
    kept: &[BrokerId],
    wanted: usize,
    stock: &[BrokerId],
    id: &TopicPartition,
) -> Vec<BrokerId> {
    let mut all = kept.to_vec();
    let begin = usize::try_from(id.partition.value()).unwrap_or(0) + id.topic.as_str().len();
    let others = stock.iter().cycle().skip(begin % stock.len().max(1));
    for broker in others.take(stock.len()) {
        if all.len() < wanted && !all.contains(broker) {
            all.push(*broker);
        }
    }
    all
}

#[cfg(test)]
mod tests;
