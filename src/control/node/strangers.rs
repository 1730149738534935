//! What lands on us though it is no mirror: it is moved to others, and what only we have is led,
//! empty as it is, until somebody else has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::control::destination::evacuation::{Evacuation, Move, is_surely_empty, stranded};
use crate::control::destination::reassign;
use crate::io::{Clock, World};
use crate::kraft::{Partition, PartitionNews};
use crate::leading::inbox::{LeaderEpochs, Leadership, Order};
use crate::model::{BrokerId, Instant, LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::session::BrokerAddress;

use super::Node;
use super::asks::connect;
use super::chores::Outcome;
use super::event::Event;
use super::shelf::Shelf;
use super::whose::Whose;

/// After what could not be moved, it is tried again so much later.
const AGAIN: Duration = Duration::from_secs(1);

/// Partitions that are on us and do not belong to us.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    evacuation: Evacuation,
    /// When what could not be moved away is to be moved again.
    again_at: Option<Instant>,
    /// Those that we lead: their topic, and in which leader and partition epoch.
    led: BTreeMap<TopicPartition, Led>,
    /// Those that an operator has to see to, and was told of.
    told: BTreeSet<TopicPartition>,
}

type Led = (TopicId, LeaderEpoch, i32);

impl Strangers {
    /// What the thread that serves followers has to be told, where `leads` is all that is to be
    /// led now.
    fn orders(&mut self, leads: Vec<Leadership>) -> Vec<Order> {
        let now = |one: &Leadership| (one.topic_id, one.leader_epoch, one.partition_epoch);
        let led = leads.iter().map(|one| (one.id.clone(), now(one)));
        let before = std::mem::replace(&mut self.led, led.collect());
        let gone = before.iter().filter(|(id, _)| !self.led.contains_key(id));
        let gone = gone.map(|(id, (topic_id, _, _))| resign(id, *topic_id));
        let mut orders: Vec<Order> = gone.collect();
        let news = leads.into_iter();
        let news = news.filter(|one| before.get(&one.id) != Some(&now(one)));
        orders.extend(news.map(|one| Order::Lead(Box::new(one))));
        orders
    }

    /// A mirror takes over what was led as a stranger's: its log is to be served, and not nothing.
    pub(super) fn adopted(&mut self, id: &TopicPartition) -> Option<Order> {
        let (topic_id, _, _) = self.led.remove(id)?;
        Some(resign(id, topic_id))
    }

    /// Says of each once that it needs an operator.
    fn tell(&mut self, all: BTreeMap<TopicPartition, String>) {
        for (id, why) in &all {
            if !self.told.contains(id) {
                tracing::error!("{id}: {why}");
            }
        }
        self.told = all.into_keys().collect();
    }
}

fn resign(id: &TopicPartition, topic_id: TopicId) -> Order {
    let id = id.clone();
    Order::Resign { topic_id, id }
}

/// What an operator has to see to about a partition of ours or of others.
fn needs(us: BrokerId, news: &PartitionNews, whose: Whose) -> Option<String> {
    match whose {
        Whose::Ours | Whose::Former => None,
        Whose::Unclaimed => Some(
            "this node has a log of it, and no mirror of it is on record: it is left as it is, \
             with nobody to lead it; have its topic mirrored again (twinlog mirrors start), or \
             move it to other brokers (kafka-reassign-partitions.sh)"
                .to_owned(),
        ),
        Whose::Others => {
            let others = stranded(us, news.partition.as_ref()?)?;
            let others: Vec<String> = others.iter().map(ToString::to_string).collect();
            Some(format!(
                "only this node counts as in sync, and has none of its records: end this node, \
                 start those of brokers {} that have ended, have one elected with \
                 kafka-leader-election.sh --election-type unclean --topic {} --partition {}, then \
                 start this node again",
                others.join(", "),
                news.id.topic,
                news.id.partition,
            ))
        }
    }
}

/// What is on us and not ours.
#[derive(Default)]
struct Found {
    /// What is to be moved to others.
    away: Vec<PartitionNews>,
    /// What of it is led.
    leads: Vec<Leadership>,
    /// What operators have to see to.
    needs: BTreeMap<TopicPartition, String>,
}

impl<W: World> Node<W> {
    /// When something is to be moved away again.
    pub(super) fn strangers_deadline(&self) -> Option<Instant> {
        self.membership.as_ref()?.strangers.again_at
    }

    /// Has what is no mirror moved away that has landed on us.
    pub(super) async fn evacuate(&mut self) {
        let Some(found) = self.strangers() else {
            return;
        };
        let Some(membership) = &mut self.membership else {
            return;
        };
        let (us, image) = (membership.us, membership.image().clone());
        let controller = membership.controller.clone();
        let known = &mut membership.strangers;
        let orders = known.orders(found.leads);
        known.tell(found.needs);
        known.again_at = None;
        let moves = known.evacuation.next_moves(us, &image, &found.away);
        for order in orders {
            self.lead(order).await;
        }
        if !moves.is_empty() {
            self.move_away(controller, moves);
        }
    }

    fn move_away(&self, controller: Option<BrokerAddress>, moves: Vec<Move>) {
        for (id, to) in &moves {
            tracing::info!("{id} is no mirror of ours: it is moved to {to:?}");
        }
        self.errand(move |world, opening| async move {
            let moved = async {
                let mut client = connect(&world, controller, opening).await?;
                let refused = reassign(&mut client, &moves).await;
                refused.map_err(|fault| fault.to_string())
            };
            let refused = match moved.await {
                Ok(refused) => {
                    if let Some((id, why)) = refused.first_key_value() {
                        let count = refused.len();
                        tracing::warn!("{count} partitions stay here for now: {id}: {why}");
                    }
                    refused.into_keys().collect()
                }
                Err(why) => {
                    tracing::warn!("what is no mirror stays here for now: {why}");
                    moves.into_iter().map(|(id, _)| id).collect()
                }
            };
            Event::Chore(Outcome::Evacuated(refused))
        });
    }

    /// The destination has not taken these moves.
    pub(super) fn evacuated(&mut self, refused: &[TopicPartition]) {
        let now = self.world.clock().now();
        if let Some(membership) = &mut self.membership
            && !refused.is_empty()
        {
            let strangers = &mut membership.strangers;
            for id in refused {
                strangers.evacuation.refused(id);
            }
            strangers.again_at = Some(now.after(AGAIN));
        }
    }

    /// All that is on us and not ours, and what of it is led: a broker that is to have what only we
    /// have becomes in sync by following us. There is nothing to follow, and nobody is told that
    /// there is where it might be otherwise. None before it is known what is ours.
    fn strangers(&self) -> Option<Found> {
        let membership = self.membership.as_ref()?;
        if !membership.has_begun || !self.shelves.contains_key(&None) {
            return None;
        }
        let mut found = Found::default();
        let us = membership.us;
        for news in membership.image().partitions_of(us) {
            let whose = self.whose(&news.id);
            if let Some(why) = needs(us, &news, whose) {
                found.needs.insert(news.id.clone(), why);
            }
            // Of what was a mirror once others may have more than nothing.
            let is_empty = whose == Whose::Others || self.has_no_source(&news);
            let partition = news.partition.as_ref().filter(|_| is_empty);
            if let Some(partition) = partition.filter(|one| is_surely_empty(us, one)) {
                let lead = empty(news.id.clone(), news.topic_id, partition);
                found.leads.push(lead);
            }
            if matches!(whose, Whose::Former | Whose::Others) {
                found.away.push(news);
            }
        }
        Some(found)
    }

    /// A partition of ours that has no log yet, and whose source cannot say where it begins: it is
    /// led empty meanwhile, so that replicas of it stay in sync.
    fn has_no_source(&self, news: &PartitionNews) -> bool {
        let id = &news.id;
        let key = self.by_id.get(id);
        let one = key.and_then(|key| self.partitions.get(key));
        let is_open = one.is_some_and(|one| one.home().is_some() || one.opening.is_some());
        let shelf = self.shelves.get(&None);
        let has_log =
            |shelf: &Shelf<W::Disk>| shelf.held(id).is_some() || shelf.has_lost(id, news.topic_id);
        let is_new = shelf.is_some_and(|shelf| !has_log(shelf));
        let feed = key.and_then(|key| self.feeds.get(&key.mirror));
        let is_told = feed.is_some_and(|feed| feed.trouble.is_none() && feed.leader(id).is_some());
        is_new && !is_open && !is_told
    }
}

/// What is to be led though it has no log.
fn empty(id: TopicPartition, topic_id: TopicId, partition: &Partition) -> Leadership {
    let epochs = LeaderEpochs::of(vec![(partition.leader_epoch, Offset::ZERO)]);
    Leadership {
        id,
        topic_id,
        // Nothing of it is ever read.
        dir: PathBuf::new(),
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        replicas: partition.replicas.clone(),
        isr: partition.isr.clone(),
        min_isr: 1,
        holds_others: false,
        log_start: Offset::ZERO,
        before: None,
        log_end: Offset::ZERO,
        epochs: epochs.expect("a leader has an epoch"),
        high_watermark: Offset::ZERO,
    }
}
