//! From a partition that has appeared to one that a shard mirrors: where its log begins and ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::SourceLoss;
use super::books::Known;
use super::errands::{Beginnings, Event, begin};
use super::run::Control;
use crate::io::{Clock, World};
use crate::model::{BrokerId, Instant, LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::session::{PartitionAsked, TopicSettings};
use crate::shard::inbox::{LogOptions, Mirror, Order, Phase};
use crate::stdx::shell::beside;

/// After a failure its leader is asked again this much later, after further ones up to
/// [`REST_DOUBLINGS`] times twice as late.
const REST: Duration = Duration::from_millis(100);
const REST_DOUBLINGS: u32 = 6;

/// How the name of the directory ends in which lies what was cut off a vault's logs. It may not lie
/// in the vault: a broker would stop on it there.
const ASIDE: &str = ".aside";

/// A partition that no shard was told of.
pub(super) struct Unbegun {
    topic_id: TopicId,
    since: Instant,
    /// Its leader is not asked before this.
    not_before: Instant,
    failures: u32,
    /// What came of asking.
    why: String,
}

impl Unbegun {
    pub(super) fn new(topic_id: TopicId, now: Instant) -> Unbegun {
        Unbegun {
            topic_id,
            since: now,
            not_before: now,
            failures: 0,
            why: "no broker of the source leads it".to_owned(),
        }
    }

    /// It had begun, and is to begin again after `pause`.
    pub(super) fn again(topic_id: TopicId, now: Instant, pause: Duration, why: String) -> Unbegun {
        Unbegun {
            topic_id,
            since: now,
            not_before: now.after(pause),
            failures: 0,
            why,
        }
    }

    /// It could not begin, for this reason. Says whether the reason is a new one.
    fn failed(&mut self, now: Instant, why: &str) -> bool {
        self.not_before = now.after(REST * (1 << self.failures.min(REST_DOUBLINGS)));
        self.failures += 1;
        let is_new = self.why != why;
        self.why = why.to_owned();
        is_new
    }

    /// One answer that does not come may take all the patience there is: it is asked for again.
    fn is_hopeless(&self, now: Instant, patience: Duration) -> bool {
        now.since(self.since) >= patience * (1 + u32::from(self.failures == 1))
    }
}

impl<W: World> Control<W> {
    /// Asks the leaders of partitions that no shard was told of where their logs begin.
    pub(super) fn begin(&mut self, now: Instant) {
        let mut by_leader: BTreeMap<BrokerId, Vec<PartitionAsked>> = BTreeMap::new();
        let due = self
            .unbegun
            .iter()
            .filter(|(id, unbegun)| unbegun.not_before <= now && !self.asked_to_begin.contains(id));
        for (id, _) in due {
            if let Some((leader, leader_epoch)) = self.catalogue.leader(id) {
                let id = id.clone();
                let asked = PartitionAsked { id, leader_epoch };
                by_leader.entry(leader).or_default().push(asked);
            }
        }
        for (leader, partitions) in by_leader {
            let asked: Vec<TopicPartition> =
                partitions.iter().map(|asked| asked.id.clone()).collect();
            let Some(endpoint) = self.brokers.get(&leader).cloned() else {
                let why = format!("nobody says where broker {leader} listens, which leads them");
                self.not_begun(&asked, &why);
                continue;
            };
            self.asked_to_begin.extend(asked.iter().cloned());
            self.errand(move |world, opening| async move {
                let outcome = begin(&world, &endpoint, &partitions, opening).await;
                Event::Began { asked, outcome }
            });
        }
    }

    /// When a leader may next be asked.
    pub(super) fn begin_at(&self) -> Option<Instant> {
        let waiting = self.unbegun.iter();
        let waiting = waiting.filter(|(id, _)| !self.asked_to_begin.contains(id));
        let led = waiting.filter(|(id, _)| self.catalogue.leader(id).is_some());
        led.map(|(_, unbegun)| unbegun.not_before).min()
    }

    /// Partitions whose leader could not be asked, or did not say. They are asked about again.
    pub(super) fn not_begun(&mut self, asked: &[TopicPartition], why: &str) {
        let now = self.clock.now();
        let mut is_new = false;
        for id in asked {
            if let Some(unbegun) = self.unbegun.get_mut(id) {
                is_new |= unbegun.failed(now, why);
            }
            if let Some(line) = self.ledger.lines.get_mut(id) {
                line.phase = Phase::Waiting(why.to_owned());
            }
        }
        if is_new {
            tracing::warn!("{} partitions cannot begin: {why}", asked.len());
        }
        self.look_soon();
    }

    pub(super) async fn begun(&mut self, asked: &[TopicPartition], beginnings: Beginnings) {
        for id in asked {
            let Some((start, end)) = beginnings.bounds.get(id).copied() else {
                let why = match beginnings.refused.get(id) {
                    Some(why) => why.to_string(),
                    None => "its leader does not tell where it begins".to_owned(),
                };
                self.not_begun(std::slice::from_ref(id), &why);
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
            if !line.is_open && !self.books.found().partitions.contains(id) {
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
        bounds: (Offset, Offset),
        settings: Option<&TopicSettings>,
    ) -> Mirror {
        let (start, end) = bounds;
        let line = self.ledger.lines.get(id).filter(|line| line.is_open);
        let was_open = line.map(|line| Known {
            topic_id: Some(line.topic_id),
            log_start: line.log_start,
            recovery_point: line.durable,
            gaps: Vec::new(),
        });
        let is_clean = was_open.is_none() && self.books.found().clean;
        let known = was_open.or_else(|| self.books.known(id));
        let is_clean = known.is_some() && is_clean;
        let recovery_point = known.as_ref().map_or(start, |known| known.recovery_point);
        Mirror {
            id: id.clone(),
            topic_id,
            held_topic_id: None,
            dir: self.books.vault().partition_dir(id),
            leader,
            leader_epoch,
            log_start: known.as_ref().map_or(start, |known| known.log_start),
            recovery_point,
            is_clean,
            refetchable: refetchable(&bounds, settings, recovery_point),
            options: settings.map(log_options).unwrap_or_default(),
            producer_id_shift: self.books.found().state.producer_id_shift,
            until: (!self.job.follow).then_some(end),
            stamp: None,
            fetches: true,
            restarts: false,
            source_epochs: None,
            may_truncate: self.options.source_loss == SourceLoss::SetAside,
            aside: Some(beside(self.books.vault().dir(), ASIDE)),
            follows_log_start: false,
            retention: None,
        }
    }

    /// A copy that is to end does not wait for ever for a partition that nobody leads.
    pub(super) fn give_up_unbegun(&mut self, now: Instant) {
        if self.job.follow {
            return;
        }
        let patience = self.opening.timeout;
        let (lost, unbegun) = std::mem::take(&mut self.unbegun)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(_, unbegun)| unbegun.is_hopeless(now, patience));
        self.unbegun = unbegun;
        for (id, unbegun) in lost {
            tracing::error!("{id} stops: {}", unbegun.why);
            if let Some(line) = self.ledger.lines.get_mut(&id) {
                line.phase = Phase::Stopped(unbegun.why);
            }
        }
    }
}

/// From where on what the vault has lost can be fetched as it was: from the source's log start,
/// if it still reaches as far as the vault did and does not compact. Whether it ever did shows as
/// records come: a shard refuses them where offsets are missing among those.
pub(super) fn refetchable(
    (start, end): &(Offset, Offset),
    settings: Option<&TopicSettings>,
    recovery_point: Offset,
) -> Option<Offset> {
    let policy = settings?.get("cleanup.policy")?;
    let is_as_it_was = !policy.contains("compact") && *end >= recovery_point;
    is_as_it_was.then_some(*start)
}

/// The topic's own settings; Kafka's defaults where they are not told.
pub(super) fn log_options(settings: &TopicSettings) -> LogOptions {
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
