//! What lands on us though it is no mirror: it is moved to others, and what only we have is led,
//! empty as it is, until somebody else has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::control::destination::evacuation::{Evacuation, is_surely_empty};
use crate::control::destination::reassign;
use crate::io::{Clock, World};
use crate::kraft::Partition;
use crate::leading::inbox::{LeaderEpochs, Leadership, Order};
use crate::model::{Instant, LeaderEpoch, Offset, TopicId, TopicPartition};

use super::Node;
use super::asks::connect;
use super::chores::Outcome;
use super::event::Event;

/// After what could not be moved, it is tried again so much later.
const AGAIN: Duration = Duration::from_secs(1);

/// Partitions that are on us and do not belong to us.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    evacuation: Evacuation,
    /// When what could not be moved away is to be moved again.
    again_at: Option<Instant>,
    /// Those that we lead, and in which leader and partition epoch.
    led: BTreeMap<TopicPartition, (LeaderEpoch, i32)>,
}

impl Strangers {
    /// What the thread that serves followers has to be told, where `leads` is all that is to be
    /// led now.
    fn orders(&mut self, leads: Vec<Leadership>) -> Vec<Order> {
        let epochs = |one: &Leadership| (one.leader_epoch, one.partition_epoch);
        let led = leads.iter().map(|one| (one.id.clone(), epochs(one)));
        let before = std::mem::replace(&mut self.led, led.collect());
        let gone = before.keys().filter(|id| !self.led.contains_key(id));
        let gone = gone.map(|id| Order::Resign { id: id.clone() });
        let mut orders: Vec<Order> = gone.collect();
        let news = leads.into_iter();
        let news = news.filter(|one| before.get(&one.id) != Some(&epochs(one)));
        orders.extend(news.map(|one| Order::Lead(Box::new(one))));
        orders
    }
}

impl<W: World> Node<W> {
    /// When something is to be moved away again.
    pub(super) fn strangers_deadline(&self) -> Option<Instant> {
        self.membership.as_ref()?.strangers.again_at
    }

    /// Has what is no mirror moved away that has landed on us.
    pub(super) async fn evacuate(&mut self) {
        for order in self.leads_of_strangers() {
            self.lead(order).await;
        }
        let ours = self.our_topic_ids();
        let Some(membership) = &mut self.membership else {
            return;
        };
        membership.strangers.again_at = None;
        let (us, image) = (membership.us, membership.image().clone());
        let is_mirror = |topic: TopicId| ours.contains(&topic);
        let evacuation = &mut membership.strangers.evacuation;
        let moves = evacuation.next_moves(us, &image, is_mirror);
        if moves.is_empty() {
            return;
        }
        for (id, _) in &moves {
            tracing::warn!("{id} is no mirror of ours: it is moved to other brokers");
        }
        let controller = membership.controller.clone();
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
        if let Some(membership) = &mut self.membership {
            let strangers = &mut membership.strangers;
            for id in refused {
                strangers.evacuation.refused(id);
            }
            strangers.again_at = (!refused.is_empty()).then(|| now.after(AGAIN));
        }
    }

    /// What we mirror, by its ids at the destination.
    fn our_topic_ids(&self) -> BTreeSet<TopicId> {
        let Some(membership) = &self.membership else {
            return BTreeSet::new();
        };
        let topics = self.state().registry().topics();
        let topics = topics.filter(|(name, _)| self.is_our_topic(name));
        let ids = topics.filter_map(|(name, _)| membership.image().topics.id_of(name));
        ids.collect()
    }

    /// A broker that is to have what only we have becomes in sync by following us. There is nothing
    /// to follow, and nobody is told that there is where it might be otherwise.
    fn leads_of_strangers(&mut self) -> Vec<Order> {
        let Some(membership) = &self.membership else {
            return Vec::new();
        };
        let Some(shelf) = self.shelves.get(&None) else {
            return Vec::new();
        };
        let registry = self.state().registry();
        let strangers = membership.image().partitions_of(membership.us);
        let leads = strangers.into_iter().filter_map(|news| {
            let partition = news.partition.as_ref()?;
            // Of what was a mirror once we have a log, and others may have more.
            let is_ours =
                registry.topic(&news.id.topic).is_some() || shelf.held(&news.id).is_some();
            let is_empty = is_surely_empty(membership.us, partition);
            (!is_ours && is_empty).then(|| empty(news.id.clone(), news.topic_id, partition))
        });
        let leads = leads.collect();
        let membership = self.membership.as_mut().expect("just seen");
        membership.strangers.orders(leads)
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
