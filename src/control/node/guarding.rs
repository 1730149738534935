//! What keeps a destination from harm while we lead, and after: its producer ids stay apart from
//! the source's, and nobody writes to what is mirrored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::control::destination::Brokers;
use crate::control::destination::fence::{Fences, lower, of_other_nodes, raise};
use crate::control::destination::producer_ids::{
    self, Barrier, BarrierFault, Mark, Registered, drain, push,
};
use crate::io::{Clock, World};
use crate::mirror::PartitionKey;
use crate::model::{BrokerEpoch, BrokerId, Instant, ProducerId, TopicName};
use crate::session::BrokerAddress;
use crate::shard::inbox::Endpoint;

use super::Node;
use super::asks::Done;
use super::away::Away;
use super::chores::{Kind, Outcome, Result};
use super::event::Event;

/// So many ids beyond the largest that was seen are passed at once, so that the next ones do not
/// have to wait.
const IDS_AHEAD: u32 = 50_000;

/// After something was asked in vain, it is asked again so much later.
const AGAIN: Duration = Duration::from_secs(1);
/// The same where nobody counts on whoever was asked.
const AWAY_AGAIN: Duration = Duration::from_secs(30);
/// How long a broker may take to answer: a stop may wait for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How far the destination's producer ids are from those in our logs.
#[derive(Debug, Default)]
pub(super) struct ProducerIds {
    /// The largest id in any log.
    largest: Option<ProducerId>,
    barrier: Barrier,
    /// The allocator is being pushed.
    is_pushing: bool,
    push_at: Instant,
    /// Brokers that are being asked for what they hold, and those that will be again.
    asked: BTreeSet<BrokerId>,
    ask_at: BTreeMap<BrokerId, Instant>,
    pub(super) away: Away,
    /// Why ids are not apart, as last told.
    trouble: Option<String>,
}

/// What brings the ids further apart.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Push,
    /// Each on its own: one that does not answer holds up nobody else.
    Drain(Vec<BrokerId>),
}

/// What something that was asked for came to.
#[derive(Debug)]
pub enum Passed {
    /// The allocator is there now.
    Pushed(std::result::Result<i64, String>),
    /// What a broker gave, in this life of it.
    Drained(
        BrokerId,
        BrokerEpoch,
        std::result::Result<ProducerId, String>,
    ),
}

impl ProducerIds {
    pub(super) fn seen(&mut self, id: ProducerId) {
        self.largest = self.largest.max(Some(id));
    }

    /// The largest id in any log.
    pub(super) fn largest(&self) -> Option<ProducerId> {
        self.largest
    }

    /// What the destination gives out is to lie beyond.
    pub(super) fn mark(&self) -> Mark {
        self.barrier.mark()
    }

    /// Nothing in our logs can be given out by any of these brokers, nor by others that answer.
    pub(super) fn is_apart(&self, stock: &[(BrokerId, BrokerEpoch)]) -> bool {
        let Some(largest) = self.largest else {
            return true;
        };
        let covers = self.barrier.mark().value() > largest.value();
        let is_asked = |broker: &BrokerId| self.away.why_missed(*broker).is_some();
        covers
            && self.barrier.is_past(stock.iter().copied())
            && self.not_drained().iter().all(is_asked)
    }

    /// Brokers that nobody counts on, and that may still give out what is in our logs.
    pub(super) fn not_drained(&self) -> Vec<BrokerId> {
        match self.largest {
            Some(_) => self.barrier.behind(self.away.lives()),
            None => Vec::new(),
        }
    }

    /// These are not counted on now.
    pub(super) fn saw_away(&mut self, now: BTreeMap<BrokerId, (BrokerEpoch, Option<String>)>) {
        for broker in self.away.saw(now) {
            self.ask_at.remove(&broker);
        }
    }

    /// Raises the mark where the ids have come near to it. Says what is to be asked for.
    fn wants(
        &mut self,
        now: Instant,
        stock: &[(BrokerId, BrokerEpoch)],
        distance_max: i64,
    ) -> Option<Wanted> {
        let largest = self.largest?;
        let near = largest.value().saturating_add(i64::from(IDS_AHEAD / 2));
        if self.barrier.mark().value() <= near {
            self.barrier.raise(Mark::beyond(Some(largest), IDS_AHEAD));
        }
        if self.barrier.wants_push() {
            let (mark, next) = (self.barrier.mark().value(), self.barrier.next());
            if mark.saturating_sub(next) > distance_max {
                self.complain(&BarrierFault::TooFar {
                    mark,
                    next,
                    distance_max,
                });
                return None;
            }
            return (!self.is_pushing && self.push_at <= now).then_some(Wanted::Push);
        }
        let lives = stock.iter().copied().chain(self.away.lives());
        let mut behind = self.barrier.behind(lives);
        behind.retain(|broker| {
            let at = self.ask_at.get(broker);
            !self.asked.contains(broker) && at.is_none_or(|at| *at <= now)
        });
        (!behind.is_empty()).then_some(Wanted::Drain(behind))
    }

    fn passed(&mut self, now: Instant, passed: Passed) {
        let again = now.after(AGAIN);
        let why = match passed {
            Passed::Pushed(outcome) => {
                self.is_pushing = false;
                match outcome {
                    Ok(next) => return self.barrier.allocated(next),
                    Err(why) => {
                        self.push_at = again;
                        why
                    }
                }
            }
            Passed::Drained(broker, epoch, outcome) => {
                self.asked.remove(&broker);
                match outcome {
                    Ok(id) => return self.gave(broker, epoch, id),
                    Err(why) if self.away.missed(broker, epoch, &why) => {
                        self.ask_at.insert(broker, now.after(AWAY_AGAIN));
                        return;
                    }
                    Err(why) => {
                        self.ask_at.insert(broker, again);
                        why
                    }
                }
            }
        };
        self.complain(&why);
    }

    fn gave(&mut self, broker: BrokerId, epoch: BrokerEpoch, id: ProducerId) {
        self.barrier.gave(broker, epoch, id);
        if self.away.drained(broker, epoch) {
            tracing::warn!(
                "broker {broker} runs on since before topics were handed over without it: the \
                 producer ids that it held are used up now; restart producers that have begun \
                 since that hand-over: what they write may be lost as a duplicate"
            );
        }
    }

    fn complain(&mut self, why: &dyn std::fmt::Display) {
        let why = why.to_string();
        if self.trouble.as_ref() != Some(&why) {
            tracing::warn!("producer ids: {why}");
            self.trouble = Some(why);
        }
    }

    /// Why they are not apart, where that is known.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

impl<W: World> Node<W> {
    /// Has the destination pass the producer ids that it does not have behind it yet.
    pub(super) fn push_producer_ids(&mut self) {
        let now = self.world.clock().now();
        let distance_max = self.chosen.destination.producer_id_distance_max;
        let distance_max = i64::try_from(distance_max).unwrap_or(i64::MAX);
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
        if !membership.is_serving {
            return;
        }
        let wanted = membership.ids.wants(now, &stock, distance_max);
        let barrier = &membership.ids.barrier;
        let (mark, next) = (barrier.mark(), barrier.next());
        match wanted {
            None => {}
            Some(Wanted::Push) => {
                membership.ids.is_pushing = true;
                let us = Registered {
                    broker: membership.us,
                    epoch,
                };
                self.errand(move |world, opening| async move {
                    let options = producer_ids::Options {
                        distance_max,
                        ..producer_ids::Options::default()
                    };
                    let from = (&controller, us);
                    let pushed = push(&world, opening, from, (mark, next), &options).await;
                    let pushed = pushed.map(|pushed| pushed.next);
                    let pushed = pushed.map_err(|fault| fault.to_string());
                    Event::Chore(Outcome::Passed(Passed::Pushed(pushed)))
                });
            }
            Some(Wanted::Drain(behind)) => {
                let away = membership.ids.away.lives();
                let lives: BTreeMap<_, _> = stock.into_iter().chain(away).collect();
                let ask = behind.into_iter().filter_map(|broker| {
                    Some((membership.endpoint(broker)?, *lives.get(&broker)?))
                });
                for (endpoint, epoch) in ask.collect::<Vec<_>>() {
                    self.drain_of_ids(&endpoint, epoch, mark);
                }
            }
        }
    }

    fn drain_of_ids(&mut self, endpoint: &Endpoint, epoch: BrokerEpoch, mark: Mark) {
        let broker = endpoint.broker;
        if let Some(membership) = &mut self.membership {
            membership.ids.asked.insert(broker);
        }
        let brokers: Brokers = [(broker, BrokerAddress::from(endpoint))].into();
        self.errand(move |world, mut opening| async move {
            opening.timeout = opening.timeout.min(PATIENCE);
            let options = producer_ids::Options::default();
            let drained = drain(&world, opening, &brokers, mark, &options).await;
            let drained = drained.into_values().next();
            let given = match drained.expect("one was asked") {
                Ok(drained) => Ok(drained.given),
                Err(fault) => Err(format!("broker {broker}: {fault}")),
            };
            Event::Chore(Outcome::Passed(Passed::Drained(broker, epoch, given)))
        });
    }

    pub(super) fn ids_passed(&mut self, passed: Passed) {
        let now = self.world.clock().now();
        let Some(membership) = &mut self.membership else {
            return;
        };
        let stock = membership.stock_lives();
        let was_apart = membership.ids.is_apart(&stock);
        membership.ids.passed(now, passed);
        let is_apart = membership.ids.is_apart(&stock);
        if is_apart {
            membership.ids.trouble = None;
        }
        if is_apart && !was_apart {
            self.touch_all();
        }
    }

    /// Closes or opens topics to writers.
    pub(super) fn fence(&mut self, kind: Kind, keys: Vec<PartitionKey>) {
        let named = self.named(keys);
        let mut topics: BTreeSet<TopicName> =
            named.iter().map(|(id, _)| id.topic.clone()).collect();
        if let (Kind::Unfence, Some(membership)) = (kind, &self.membership) {
            topics = &topics - &of_other_nodes(membership.us, membership.image());
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: i64 = 100_000_000;

    /// An id that cannot be real uses up nothing, and says so.
    #[test]
    fn what_is_too_far_is_not_pushed_to() {
        let lives = [(BrokerId(1), BrokerEpoch::new(7))];
        let mut ids = ProducerIds::default();
        ids.seen(id(1 << 60));
        assert_eq!(ids.wants(Instant::default(), &lives, FAR), None);
        let why = ids.trouble().expect("it is said");
        assert!(why.contains("producer_id_distance_max"), "{why}");
        assert!(!ids.is_apart(&lives));
    }

    fn id(value: i64) -> ProducerId {
        ProducerId::from_wire(value).expect("not negative")
    }

    #[test]
    fn a_broker_that_does_not_answer_holds_up_nobody_and_is_not_asked_all_the_time() {
        let lives = [1, 2].map(|id| (BrokerId(id), BrokerEpoch::new(7)));
        let [(one, epoch), (two, _)] = lives;
        let mut ids = ProducerIds::default();
        let now = Instant::default();
        assert_eq!(ids.wants(now, &lives, FAR), None, "no producer was seen");
        assert!(ids.is_apart(&lives));
        ids.seen(id(5));
        assert_eq!(ids.wants(now, &lives, FAR), Some(Wanted::Push));
        ids.is_pushing = true;
        assert_eq!(ids.wants(now, &lives, FAR), None, "one push at a time");
        ids.passed(now, Passed::Pushed(Err("no".to_owned())));
        assert_eq!(ids.wants(now, &lives, FAR), None, "not at once");
        let later = now.after(AGAIN);
        assert_eq!(ids.wants(later, &lives, FAR), Some(Wanted::Push));
        ids.passed(later, Passed::Pushed(Ok(1_000_000)));
        let both = Some(Wanted::Drain(vec![one, two]));
        assert_eq!(ids.wants(later, &lives, FAR), both);
        ids.asked = [one, two].into();
        ids.passed(later, Passed::Drained(one, epoch, Ok(id(1_000_000))));
        assert!(!ids.is_apart(&lives) && ids.is_apart(&lives[..1]));
        ids.passed(later, Passed::Drained(two, epoch, Err("no".to_owned())));
        assert_eq!(ids.wants(later, &lives, FAR), None, "not at once");
        let again = Some(Wanted::Drain(vec![two]));
        assert_eq!(ids.wants(later.after(AGAIN), &lives, FAR), again);
    }

    /// It may run on, and give out what it holds to whoever reaches it.
    #[test]
    fn a_broker_that_is_fenced_is_drained_too_and_holds_up_nobody_where_it_does_not_answer() {
        let lives = [1, 2].map(|id| (BrokerId(id), BrokerEpoch::new(7)));
        let [(one, epoch), (two, _)] = lives;
        let in_sync = &lives[..1];
        let mut ids = ProducerIds::default();
        ids.saw_away([(two, (epoch, None))].into());
        assert!(ids.is_apart(in_sync), "no producer was seen");
        ids.seen(id(5));
        let now = Instant::default();
        assert_eq!(ids.wants(now, in_sync, FAR), Some(Wanted::Push));
        ids.passed(now, Passed::Pushed(Ok(1_000_000)));
        let both = Some(Wanted::Drain(vec![one, two]));
        assert_eq!(ids.wants(now, in_sync, FAR), both);
        ids.passed(now, Passed::Drained(one, epoch, Ok(id(1_000_000))));
        assert!(!ids.is_apart(in_sync), "the other one may answer");
        ids.passed(now, Passed::Drained(two, epoch, Err("no".to_owned())));
        assert!(ids.is_apart(in_sync));
        assert_eq!(ids.not_drained(), [two]);
        assert_eq!(ids.wants(now.after(AGAIN), in_sync, FAR), None);
        // It is back, in the same life.
        ids.saw_away(BTreeMap::new());
        assert!(!ids.is_apart(&lives));
        let it = Some(Wanted::Drain(vec![two]));
        assert_eq!(ids.wants(now, &lives, FAR), it, "at once");
        ids.passed(now, Passed::Drained(two, epoch, Ok(id(1_000_000))));
        assert!(ids.is_apart(&lives));
        ids.saw_away([(two, (epoch, None))].into());
        assert!(ids.is_apart(in_sync), "it has nothing left");
        assert_eq!(ids.not_drained(), []);
    }
}
