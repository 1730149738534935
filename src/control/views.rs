//! A view of the source → what the shards are told, and who enters the ledger.

use std::collections::BTreeMap;

use super::CopyFault;
use super::beginnings::Unbegun;
use super::catalogue::Change;
use super::ledger::Line;
use super::run::Control;
use crate::io::{Clock, World};
use crate::model::{BrokerId, Instant, Offset, ShardId, TopicId, TopicPartition};
use crate::session::ClusterView;
use crate::shard::inbox::{Answer, Endpoint, Order, Phase, Recovered, Tally, shard_of};

impl<W: World> Control<W> {
    /// Takes in a view of the source.
    pub(super) async fn see(&mut self, view: &ClusterView) -> Result<(), CopyFault> {
        let held = &self.books.found().state.source_cluster_id;
        if view.cluster_id != *held {
            tracing::warn!(
                "a broker answers for cluster {}: not believed",
                view.cluster_id
            );
            self.answer_leaders(None).await;
            return Ok(());
        }
        let known = view
            .brokers
            .iter()
            .map(|endpoint| (endpoint.broker, endpoint.clone()));
        let brokers: BTreeMap<BrokerId, Endpoint> = known.collect();
        if brokers != self.brokers {
            for shard in 0..self.shards.orders.len() {
                let shard = ShardId(u16::try_from(shard).expect("few shards"));
                self.order(shard, Order::Brokers(view.brokers.clone()))
                    .await;
            }
            self.brokers = brokers;
        }
        let now = self.clock.now();
        for change in self.catalogue.take(now, view) {
            self.change(now, change).await;
        }
        self.answer_leaders(Some(view)).await;
        self.give_up_unbegun(now);
        Ok(())
    }

    async fn change(&mut self, now: Instant, change: Change) {
        match change {
            Change::Appeared { id, topic_id } => {
                if topic_id == TopicId::of_name(&id.topic) && !self.has_warned_of_names {
                    self.has_warned_of_names = true;
                    tracing::warn!(
                        "the source tells no topic ids (before Kafka 2.8): a topic that is \
                         deleted and created anew is only noticed where its log contradicts ours"
                    );
                }
                self.enter(&id, topic_id);
                self.unbegun.insert(id, Unbegun::new(topic_id, now));
            }
            Change::Led { id, leader, epoch } => {
                let known = self.ledger.lines.get(&id);
                if let Some(line) = known.filter(|_| !self.unbegun.contains_key(&id)) {
                    let shard = line.shard;
                    self.order(shard, Order::Leader { id, leader, epoch }).await;
                }
            }
            Change::Ended { id, cause } => {
                let was_begun = self.unbegun.remove(&id).is_none();
                match self.ledger.lines.get_mut(&id) {
                    Some(line) if was_begun && line.is_open => {
                        let shard = line.shard;
                        self.order(shard, Order::Stop { id, cause }).await;
                    }
                    Some(line) => line.phase = Phase::Stopped(cause.to_string()),
                    None => self.refuse(&id, cause.to_string()),
                }
            }
        }
    }

    /// A partition of the vault that no shard will open.
    fn refuse(&mut self, id: &TopicPartition, why: String) {
        tracing::error!("{id} stops: {why}");
        let state = self.books.found().state.partitions.get(id);
        if let Some(topic_id) = state.map(|state| state.topic_id) {
            self.enter(id, topic_id);
            let line = self.ledger.lines.get_mut(id).expect("just entered");
            line.phase = Phase::Stopped(why);
        }
    }

    fn enter(&mut self, id: &TopicPartition, topic_id: TopicId) {
        let known = self.books.known(id);
        let offset = known
            .as_ref()
            .map_or(Offset::ZERO, |known| known.recovery_point);
        let gaps = known
            .as_ref()
            .map(|known| known.gaps.clone())
            .unwrap_or_default();
        let shards = u16::try_from(self.shards.orders.len()).expect("few shards");
        let line = Line {
            topic_id,
            shard: shard_of(topic_id, id.partition, shards),
            phase: Phase::Mirroring,
            tally: Tally::default(),
            log_start: known.map_or(Offset::ZERO, |known| known.log_start),
            began_at: offset,
            log_end: offset,
            durable: offset,
            target: None,
            gaps: gaps.clone(),
            gaps_before: gaps,
            recovered: Recovered::default(),
            cuts: Vec::new(),
            tally_before: Tally::default(),
            is_open: false,
        };
        self.ledger.lines.insert(id.clone(), line);
    }

    /// Those who asked for their leader get what the view tells; without one, nothing.
    pub(super) async fn answer_leaders(&mut self, view: Option<&ClusterView>) {
        for asked in self.questions.take_leaders() {
            let topic = view.and_then(|view| {
                view.topics
                    .iter()
                    .find(|topic| topic.name == asked.id.topic)
            });
            let answer = match topic {
                Some(topic) if !topic.id.agrees(asked.topic_id, &topic.name) => {
                    Answer::TopicRecreated { topic_id: topic.id }
                }
                Some(_) => match self.catalogue.leader(&asked.id) {
                    Some((leader, epoch)) => Answer::Leader { leader, epoch },
                    None => Answer::Unavailable,
                },
                None => Answer::Unavailable,
            };
            let cursor = asked.cursor;
            self.order(asked.shard, Order::Answer { cursor, answer })
                .await;
        }
    }
}
