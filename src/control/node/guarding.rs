//! What keeps a destination from harm while we lead, and after: its producer ids stay apart from
//! the source's, nobody writes to what is mirrored, and what is no mirror does not stay with us.

use std::collections::BTreeSet;

use crate::control::destination::fence::{Fences, lower, raise};
use crate::control::destination::producer_ids::{self, Barrier, Mark, Registered, drain, push};
use crate::control::destination::{Brokers, reassign};
use crate::io::World;
use crate::mirror::PartitionKey;
use crate::model::{BrokerEpoch, BrokerId, ProducerId, TopicId, TopicName};
use crate::session::{BrokerAddress, Opening};

use super::Node;
use super::asks::{Done, connect};
use super::chores::{Kind, Outcome, Result};
use super::event::Event;

/// So many ids beyond the largest that was seen are passed at once, so that the next ones do not
/// have to wait.
const IDS_AHEAD: u32 = 50_000;

/// How far the destination's producer ids are from those in our logs.
#[derive(Debug, Default)]
pub(super) struct ProducerIds {
    /// The largest id in any log.
    largest: Option<ProducerId>,
    barrier: Barrier,
    /// The destination is being asked to get there.
    is_under_way: bool,
    /// Why it did not, as last told.
    trouble: Option<String>,
}

/// What a pass of the barrier came to.
#[derive(Debug, Default)]
pub struct Passed {
    next: Option<i64>,
    given: Vec<(BrokerId, BrokerEpoch, ProducerId)>,
    trouble: Option<String>,
}

impl ProducerIds {
    pub(super) fn seen(&mut self, id: ProducerId) {
        self.largest = self.largest.max(Some(id));
    }

    /// The largest id in any log.
    pub(super) fn largest(&self) -> Option<ProducerId> {
        self.largest
    }

    /// Nothing in our logs can be given out by any of these brokers.
    pub(super) fn is_apart(&self, stock: &[(BrokerId, BrokerEpoch)]) -> bool {
        let Some(largest) = self.largest else {
            return true;
        };
        let covers = self.barrier.mark().value() > largest.value();
        covers && self.barrier.is_past(stock.iter().copied())
    }

    /// Raises the mark where the ids have come near to it. Says whether anything is to be asked.
    fn wants(&mut self, stock: &[(BrokerId, BrokerEpoch)]) -> bool {
        let Some(largest) = self.largest.filter(|_| !self.is_under_way) else {
            return false;
        };
        let near = largest.value().saturating_add(i64::from(IDS_AHEAD / 2));
        if self.barrier.mark().value() <= near {
            self.barrier.raise(Mark::beyond(Some(largest), IDS_AHEAD));
        }
        !self.barrier.is_past(stock.iter().copied())
    }
}

impl<W: World> Node<W> {
    /// Has the destination pass the producer ids that it does not have behind it yet.
    pub(super) fn push_producer_ids(&mut self) {
        let Some(membership) = &mut self.membership else {
            return;
        };
        let next = membership.image().next_producer;
        if let Some(next) = next {
            membership.ids.barrier.allocated(next.value());
        }
        let stock = membership.stock_lives();
        let epoch = membership.epoch();
        let (Some(controller), Some(epoch)) = (membership.controller.clone(), epoch) else {
            return;
        };
        if !membership.is_serving || !membership.ids.wants(&stock) {
            return;
        }
        membership.ids.is_under_way = true;
        let barrier = &membership.ids.barrier;
        let (mark, next) = (barrier.mark(), barrier.next());
        let behind = barrier.behind(stock.iter().copied());
        let endpoints = membership.stock_endpoints().into_iter();
        let endpoints = endpoints.filter(|endpoint| behind.contains(&endpoint.broker));
        let brokers: Brokers = endpoints
            .map(|endpoint| (endpoint.broker, BrokerAddress::from(&endpoint)))
            .collect();
        let us = Registered {
            broker: membership.us,
            epoch,
        };
        self.errand(move |world, opening| async move {
            let passed = pass(
                &world,
                opening,
                (&controller, us),
                (mark, next),
                &brokers,
                &stock,
            );
            Event::Chore(Outcome::Passed(passed.await))
        });
    }

    pub(super) fn ids_passed(&mut self, passed: Passed) {
        let Some(membership) = &mut self.membership else {
            return;
        };
        let stock = membership.stock_lives();
        let ids = &mut membership.ids;
        ids.is_under_way = false;
        let was_apart = ids.is_apart(&stock);
        if let Some(next) = passed.next {
            ids.barrier.allocated(next);
        }
        for (broker, epoch, id) in passed.given {
            ids.barrier.gave(broker, epoch, id);
        }
        if passed.trouble.is_some() && passed.trouble != ids.trouble {
            let why = passed.trouble.as_deref().unwrap_or_default();
            tracing::warn!("producer ids: {why}");
        }
        ids.trouble = passed.trouble;
        let is_apart = ids.is_apart(&stock);
        if is_apart && !was_apart {
            self.touch_all();
        }
    }

    /// Closes or opens topics to writers.
    pub(super) fn fence(&mut self, kind: Kind, keys: Vec<PartitionKey>) {
        let named = self.named(keys);
        let topics: BTreeSet<TopicName> = named.iter().map(|(id, _)| id.topic.clone()).collect();
        let world = self.world.clone();
        self.by_controller(kind, named, move |mut client, ids| async move {
            let fences = match kind {
                Kind::Fence => raise(&world, &mut client, &topics).await,
                _ => lower(&mut client, &topics).await,
            };
            match fences {
                Ok(Fences::Impossible) => Done::But(Default::default()),
                Ok(Fences::Done {
                    refused,
                    foreign,
                    blinding,
                }) => {
                    for topic in blinding {
                        tracing::warn!(
                            "{topic} stays open to writers: behind a fence we could not describe \
                             it; grant DESCRIBE, DESCRIBE_CONFIGS and ALTER on topics to us"
                        );
                    }
                    if kind == Kind::Unfence {
                        for topic in foreign {
                            tracing::warn!("{topic} was closed to writers by somebody else");
                        }
                    }
                    let but = ids.iter().filter_map(|id| {
                        let why = refused.get(&id.topic)?;
                        Some((id.clone(), Result::Again(why.to_string())))
                    });
                    Done::But(but.collect())
                }
                Err(fault) => Done::Nothing(fault.to_string()),
            }
        });
    }

    /// Has what is no mirror moved away that has landed on us.
    pub(super) fn evacuate(&mut self) {
        let ours: BTreeSet<TopicId> = {
            let Some(membership) = &self.membership else {
                return;
            };
            let topics = self.state().registry().topics();
            let ids = topics.filter_map(|(name, _)| membership.image().topics.id_of(name));
            ids.collect()
        };
        let Some(membership) = &mut self.membership else {
            return;
        };
        let image = membership.image().clone();
        let is_mirror = |topic: TopicId| ours.contains(&topic);
        let moves = membership
            .evacuation
            .next_moves(membership.us, &image, is_mirror);
        if moves.is_empty() {
            return;
        }
        for (id, _) in &moves {
            tracing::warn!("{id} is no mirror of ours: it is moved to other brokers");
        }
        let controller = membership.controller.clone();
        self.errand(move |world, opening| async move {
            let refused = match connect(&world, controller, opening).await {
                Ok(mut client) => match reassign(&mut client, &moves).await {
                    Ok(refused) => refused.into_keys().collect(),
                    Err(fault) => {
                        tracing::warn!("what is no mirror stays here for now: {fault}");
                        moves.into_iter().map(|(id, _)| id).collect()
                    }
                },
                Err(why) => {
                    tracing::warn!("what is no mirror stays here for now: {why}");
                    moves.into_iter().map(|(id, _)| id).collect()
                }
            };
            Event::Chore(Outcome::Evacuated(refused))
        });
    }

    pub(super) fn evacuated(&mut self, refused: &[crate::model::TopicPartition]) {
        if let Some(membership) = &mut self.membership {
            for id in refused {
                membership.evacuation.refused(id);
            }
        }
    }
}

/// Pushes the allocator past the mark, then has each broker use up what it holds from before.
async fn pass<W: World>(
    world: &W,
    opening: Opening,
    (controller, us): (&BrokerAddress, Registered),
    (mark, next): (Mark, i64),
    brokers: &Brokers,
    lives: &[(BrokerId, BrokerEpoch)],
) -> Passed {
    let options = producer_ids::Options::default();
    let mut passed = Passed::default();
    if next < mark.value() {
        match push(world, opening, (controller, us), (mark, next), &options).await {
            Ok(pushed) => passed.next = Some(pushed.next),
            Err(fault) => {
                passed.trouble = Some(fault.to_string());
                return passed;
            }
        }
    }
    for (broker, outcome) in drain(world, opening, brokers, mark, &options).await {
        let life = lives.iter().find(|(id, _)| *id == broker);
        match (outcome, life) {
            (Ok(drained), Some((_, epoch))) => passed.given.push((broker, *epoch, drained.given)),
            (Ok(_), None) => {}
            (Err(fault), _) => passed.trouble = Some(fault.to_string()),
        }
    }
    passed
}
