//! From a partition that has appeared to one that a shard mirrors: where its log begins and ends.

use std::collections::BTreeMap;

use super::errands::{Beginnings, Event, begin};
use super::run::Control;
use crate::io::World;
use crate::model::{BrokerId, Instant, LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::session::{PartitionAsked, TopicSettings};
use crate::shard::inbox::{LogOptions, Mirror, Order, Phase};

/// A partition that no shard was told of.
pub(super) struct Unbegun {
    pub(super) topic_id: TopicId,
    pub(super) since: Instant,
}

impl<W: World> Control<W> {
    /// Asks the leaders of partitions that no shard was told of where their logs begin.
    pub(super) fn begin(&mut self) {
        let mut by_leader: BTreeMap<BrokerId, Vec<PartitionAsked>> = BTreeMap::new();
        for id in self
            .unbegun
            .keys()
            .filter(|id| !self.asked_to_begin.contains(id))
        {
            if let Some((leader, leader_epoch)) = self.catalogue.leader(id) {
                let id = id.clone();
                let asked = PartitionAsked { id, leader_epoch };
                by_leader.entry(leader).or_default().push(asked);
            }
        }
        for (leader, partitions) in by_leader {
            let Some(endpoint) = self.brokers.get(&leader).cloned() else {
                continue;
            };
            let asked: Vec<TopicPartition> =
                partitions.iter().map(|asked| asked.id.clone()).collect();
            self.asked_to_begin.extend(asked.iter().cloned());
            self.errand(move |world, opening| async move {
                let outcome = begin(&world, &endpoint, &partitions, opening).await;
                Event::Began { asked, outcome }
            });
        }
    }

    pub(super) async fn begun(&mut self, asked: &[TopicPartition], beginnings: Beginnings) {
        for id in asked {
            let Some((start, end)) = beginnings.bounds.get(id).copied() else {
                self.look_soon();
                continue;
            };
            let Some((leader, leader_epoch)) = self.catalogue.leader(id) else {
                continue;
            };
            let Some(unbegun) = self.unbegun.remove(id) else {
                continue;
            };
            let settings = beginnings.settings.get(&id.topic);
            let bounds = (start, end);
            let mirror = self.mirrored(
                id,
                unbegun.topic_id,
                (leader, leader_epoch),
                bounds,
                settings,
            );
            let line = self
                .ledger
                .lines
                .get_mut(id)
                .expect("entered when it appeared");
            line.target = Some(end);
            line.log_start = mirror.log_start;
            if !self.books.found().partitions.contains(id) {
                line.began_at = start;
                line.log_end = start;
            }
            let shard = line.shard;
            self.order(shard, Order::Mirror(Box::new(mirror))).await;
        }
    }

    fn mirrored(
        &self,
        id: &TopicPartition,
        topic_id: TopicId,
        (leader, leader_epoch): (BrokerId, LeaderEpoch),
        (start, end): (Offset, Offset),
        settings: Option<&TopicSettings>,
    ) -> Mirror {
        let known = self.books.known(id);
        let is_clean = known.is_some() && self.books.found().clean;
        Mirror {
            id: id.clone(),
            topic_id,
            dir: self.books.vault().partition_dir(id),
            leader,
            leader_epoch,
            log_start: known.as_ref().map_or(start, |known| known.log_start),
            recovery_point: known.map_or(start, |known| known.recovery_point),
            is_clean,
            options: settings.map(log_options).unwrap_or_default(),
            producer_id_shift: self.books.found().state.producer_id_shift,
            until: (!self.job.follow).then_some(end),
        }
    }

    /// A copy that is to end does not wait for ever for a partition that nobody leads.
    pub(super) fn give_up_unbegun(&mut self, now: Instant) {
        if self.job.follow {
            return;
        }
        let patience = self.opening.timeout;
        let lost: Vec<TopicPartition> = self
            .unbegun
            .iter()
            .filter(|(_, unbegun)| now.since(unbegun.since) >= patience)
            .map(|(id, _)| id.clone())
            .collect();
        for id in lost {
            self.unbegun.remove(&id);
            tracing::error!("{id} stops: no broker of the source leads it");
            if let Some(line) = self.ledger.lines.get_mut(&id) {
                line.phase = Phase::Stopped("no broker of the source leads it".to_owned());
            }
        }
    }
}

/// The topic's own settings; Kafka's defaults where they are not told.
fn log_options(settings: &TopicSettings) -> LogOptions {
    let number = |key: &str| {
        settings
            .get(key)
            .and_then(|value| value.parse::<i64>().ok())
    };
    let bytes = |key: &str, least: u32, default: u32| {
        let stated = number(key).and_then(|value| u32::try_from(value).ok());
        stated.map_or(default, |stated| {
            stated.clamp(least, i32::MAX.unsigned_abs())
        })
    };
    let default = LogOptions::default();
    LogOptions {
        segment_bytes: bytes("segment.bytes", 1, default.segment_bytes),
        segment_ms: number("segment.ms")
            .filter(|ms| *ms > 0)
            .unwrap_or(default.segment_ms),
        index_interval_bytes: bytes("index.interval.bytes", 0, default.index_interval_bytes),
        index_bytes_max: bytes("segment.index.bytes", 64, default.index_bytes_max),
    }
}
