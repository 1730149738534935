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
    /// Those that nobody can lead and only we could take over, as they were told of.
    stranded: BTreeSet<TopicPartition>,
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
        let gone = gone.map(|(id, (topic_id, _, _))| Order::Resign {
            topic_id: *topic_id,
            id: id.clone(),
        });
        let mut orders: Vec<Order> = gone.collect();
        let news = leads.into_iter();
        let news = news.filter(|one| before.get(&one.id) != Some(&now(one)));
        orders.extend(news.map(|one| Order::Lead(Box::new(one))));
        orders
    }

    /// A mirror takes over what was led as a stranger's: its log is to be served, and not nothing.
    pub(super) fn adopted(&mut self, id: &TopicPartition) -> Option<Order> {
        let (topic_id, _, _) = self.led.remove(id)?;
        Some(Order::Resign {
            topic_id,
            id: id.clone(),
        })
    }

    /// Says of each once that it needs an operator.
    fn tell_stranded(&mut self, us: BrokerId, strangers: &[PartitionNews]) {
        let all = strangers.iter().filter_map(|news| {
            let others = stranded(us, news.partition.as_ref()?)?;
            Some((news.id.clone(), others))
        });
        let all: BTreeMap<TopicPartition, Vec<BrokerId>> = all.collect();
        for (id, others) in &all {
            if !self.stranded.contains(id) {
                tracing::error!(
                    "{id} has no leader that has its records: only this node counts as in sync, \
                     and has none of them; end this node, start those of its other replicas \
                     ({others:?}) that have ended, have one elected with \
                     kafka-leader-election.sh --election-type unclean --topic {} --partition {}, \
                     then start this node again",
                    id.topic,
                    id.partition,
                );
            }
        }
        self.stranded = all.into_keys().collect();
    }
}

impl<W: World> Node<W> {
    /// When something is to be moved away again.
    pub(super) fn strangers_deadline(&self) -> Option<Instant> {
        self.membership.as_ref()?.strangers.again_at
    }

    /// Has what is no mirror moved away that has landed on us.
    pub(super) async fn evacuate(&mut self) {
        let Some((strangers, leads)) = self.strangers() else {
            return;
        };
        let Some(membership) = &mut self.membership else {
            return;
        };
        let (us, image) = (membership.us, membership.image().clone());
        let controller = membership.controller.clone();
        let known = &mut membership.strangers;
        let orders = known.orders(leads);
        known.tell_stranded(us, &strangers);
        known.again_at = None;
        let moves = known.evacuation.next_moves(us, &image, &strangers);
        for order in orders {
            self.lead(order).await;
        }
        if !moves.is_empty() {
            self.move_away(controller, moves);
        }
    }

    fn move_away(&self, controller: Option<BrokerAddress>, moves: Vec<Move>) {
        for (id, _) in &moves {
            tracing::warn!("{id} is no mirror of ours: it is moved to other brokers");
        }
        self.errand(move |world, opening| async move {
            let moved = async {
                let mut client = connect(&world, controller, opening).await?;
                let refused = reassign(&mut client, &moves).await;
                refused.map_err(|fault| fault.to_string())
            };
            let refused = match moved.await {
                Ok(refused) => refused.into_keys().collect(),
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
    fn strangers(&self) -> Option<(Vec<PartitionNews>, Vec<Leadership>)> {
        let membership = self.membership.as_ref()?;
        if !membership.has_begun || !self.shelves.contains_key(&None) {
            return None;
        }
        let (mut strangers, mut leads) = (Vec::new(), Vec::new());
        for news in membership.image().partitions_of(membership.us) {
            let whose = self.whose(&news.id);
            if whose == Whose::Ours {
                continue;
            }
            let partition = news.partition.as_ref();
            let empty_one = partition.filter(|one| is_surely_empty(membership.us, one));
            // Of what was a mirror once others may have more than nothing.
            if let Some(partition) = empty_one.filter(|_| whose == Whose::Others) {
                leads.push(empty(news.id.clone(), news.topic_id, partition));
            }
            strangers.push(news);
        }
        Some((strangers, leads))
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
        log_start: Offset::ZERO,
        log_end: Offset::ZERO,
        epochs: epochs.expect("a leader has an epoch"),
        high_watermark: Offset::ZERO,
    }
}
