//! One mirror's source: what its brokers say of it, and the shards that fetch from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::control::catalogue::{Catalogue, Change};
use crate::control::errands::{Beginnings, Errand, NoBounds};
use crate::control::questions::Questions;
use crate::mirror::{MirrorSettings, Pattern, Selection};
use crate::model::{
    BrokerId, Instant, LeaderEpoch, Offset, ShardId, TopicId, TopicName, TopicPartition,
};
use crate::session::{BrokerAddress, ClusterView, PartitionAsked, TopicSettings, TopicView};
use crate::shard::inbox::{Answer, Asked, Cause, CursorId, Endpoint, Order, shard_of};

/// A question about leaders is not answered more often than this.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(250);
/// After a leader could not be asked where its logs begin, it is asked again so much later.
const BEGIN_AGAIN: Duration = Duration::from_millis(500);

/// A source that has not been heard of for so long is taken for gone: what is mirrored from it
/// fails, and is tried again.
const GONE_AFTER: Duration = Duration::from_secs(10);

/// A thread that fetches.
#[derive(Clone, Debug)]
pub struct ShardTie {
    /// Which one of all.
    pub id: ShardId,
    /// What it is told.
    pub orders: mpsc::Sender<Order>,
}

/// The source of one mirror.
#[derive(Debug)]
pub(super) struct Feed {
    /// Brokers to begin with.
    from: Vec<BrokerAddress>,
    /// Topics of which what the source takes back goes here too.
    unclean: Vec<Pattern>,
    /// Its shards, by their place.
    pub(super) shards: Vec<ShardTie>,
    /// The cluster's id, once told.
    pub(super) cluster_id: Option<String>,
    brokers: BTreeMap<BrokerId, Endpoint>,
    /// Its topics, as last seen.
    topics: BTreeMap<TopicName, TopicView>,
    catalogue: Catalogue,
    pub(super) questions: Questions,
    /// Where logs begin and end, as their leaders said when they were asked.
    bounds: BTreeMap<TopicPartition, (Offset, Offset)>,
    /// Why some are not known, as last said.
    no_bounds: BTreeMap<TopicPartition, NoBounds>,
    settings: BTreeMap<TopicName, TopicSettings>,
    /// Partitions whose bounds are wanted, and those of them that are being asked for.
    wanted: BTreeSet<TopicPartition>,
    asked: BTreeSet<TopicPartition>,
    begin_at: Instant,
    pub(super) is_looking: bool,
    pub(super) look_at: Instant,
    looked_at: Instant,
    /// How often it could not be asked.
    pub(super) errors: u64,
    /// Why the source cannot be asked, as last told.
    pub(super) trouble: Option<String>,
    /// Since when nobody of it has answered.
    silent_since: Option<Instant>,
}

/// What a view of the source means for partitions that it has.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Their leaders are others.
    pub(super) led: Vec<(TopicPartition, BrokerId, LeaderEpoch)>,
    /// Their topics go no further.
    pub(super) ended: Vec<(TopicPartition, Cause)>,
    /// Brokers listen elsewhere.
    pub(super) brokers: Option<Vec<Endpoint>>,
}

impl Feed {
    pub(super) fn new(settings: &MirrorSettings, shards: Vec<ShardTie>, now: Instant) -> Feed {
        let all = Selection::new(".*", Some("")).expect("both are patterns");
        Feed {
            from: settings.bootstrap_servers.clone(),
            unclean: settings.unclean_topics.clone(),
            shards,
            cluster_id: None,
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            catalogue: Catalogue::new(all, std::iter::empty()),
            questions: Questions::default(),
            bounds: BTreeMap::new(),
            no_bounds: BTreeMap::new(),
            settings: BTreeMap::new(),
            wanted: BTreeSet::new(),
            asked: BTreeSet::new(),
            begin_at: now,
            is_looking: false,
            look_at: now,
            looked_at: now,
            errors: 0,
            trouble: None,
            silent_since: None,
        }
    }

    /// What the source takes back of a topic is cut off here as well.
    pub(super) fn may_take_back(&self, topic: &TopicName) -> bool {
        self.unclean.iter().any(|pattern| pattern.matches(topic))
    }

    /// Whom to ask for a view: brokers that are known, then those to begin with.
    pub(super) fn addresses(&self) -> Vec<BrokerAddress> {
        let known = self.brokers.values().map(BrokerAddress::from);
        known.chain(self.from.iter().cloned()).collect()
    }

    /// Takes in a view of the source; the caller has seen that it is of the cluster that is meant.
    pub(super) fn see(&mut self, now: Instant, view: &ClusterView) -> Seen {
        let mut seen = Seen::default();
        let brokers = view.brokers.iter();
        let brokers: BTreeMap<BrokerId, Endpoint> = brokers
            .map(|endpoint| (endpoint.broker, endpoint.clone()))
            .collect();
        if brokers != self.brokers {
            seen.brokers = Some(view.brokers.clone());
            self.brokers = brokers;
        }
        for change in self.catalogue.take(now, view) {
            match change {
                Change::Appeared { .. } => {}
                Change::Led { id, leader, epoch } => seen.led.push((id, leader, epoch)),
                Change::Ended { id, cause } => seen.ended.push((id, cause)),
            }
        }
        let topics = view.topics.iter();
        let topics = topics.filter(|topic| !topic.error.is_error());
        self.topics = topics
            .map(|topic| (topic.name.clone(), topic.clone()))
            .collect();
        seen
    }

    /// A view has come, or none could be had.
    pub(super) fn looked(&mut self, now: Instant, interval: Duration) {
        self.is_looking = false;
        self.looked_at = now;
        self.look_at = now.after(interval);
    }

    /// Somebody of the source has answered.
    pub(super) fn answers(&mut self) {
        self.trouble = None;
        self.silent_since = None;
    }

    /// Nobody of the source has answered. Says whether that is news.
    pub(super) fn is_silent(&mut self, now: Instant, why: &str) -> bool {
        self.errors += 1;
        self.silent_since.get_or_insert(now);
        let is_news = self.trouble.as_deref() != Some(why);
        self.trouble = Some(why.to_owned());
        is_news
    }

    /// Nobody of the source has answered for a long time.
    pub(super) fn is_gone(&self, now: Instant) -> bool {
        let since = self.silent_since;
        since.is_some_and(|since| now.since(since) >= GONE_AFTER)
    }

    /// A view is wanted before it is due.
    pub(super) fn look_soon(&mut self) {
        self.look_at = self.look_at.min(self.looked_at.after(LOOK_INTERVAL_MIN));
    }

    /// Where a broker listens.
    pub(super) fn endpoint(&self, broker: BrokerId) -> Option<Endpoint> {
        self.brokers.get(&broker).cloned()
    }

    /// Topics that the source has.
    pub(super) fn topic_views(&self) -> impl Iterator<Item = &TopicView> {
        self.topics.values()
    }

    pub(super) fn topic(&self, name: &TopicName) -> Option<&TopicView> {
        self.topics.get(name)
    }

    pub(super) fn leader(&self, id: &TopicPartition) -> Option<(BrokerId, LeaderEpoch)> {
        self.catalogue.leader(id)
    }

    /// Why a partition goes no further, where its topic does not.
    pub(super) fn ended(&self, id: &TopicPartition) -> Option<&Cause> {
        self.catalogue.ended(id)
    }

    /// The shard of a partition.
    pub(super) fn shard_of(&self, topic: TopicId, id: &TopicPartition) -> &ShardTie {
        let count = u16::try_from(self.shards.len()).expect("few shards");
        let place = shard_of(topic, id.partition, count);
        &self.shards[usize::from(place.0)]
    }

    /// Where a log begins and ends, and its topic's settings, if its leader was asked.
    pub(super) fn bounds(&self, id: &TopicPartition) -> Option<(Offset, Offset)> {
        self.bounds.get(id).copied()
    }

    pub(super) fn settings(&self, topic: &TopicName) -> Option<&TopicSettings> {
        self.settings.get(topic)
    }

    /// Has a partition's bounds asked for.
    pub(super) fn want(&mut self, id: &TopicPartition) {
        if !self.asked.contains(id) {
            self.wanted.insert(id.clone());
        }
    }

    /// What is asked for would be told anew.
    pub(super) fn forget_bounds(&mut self, id: &TopicPartition) {
        self.bounds.remove(id);
    }

    /// Leaders to ask now, each with its partitions.
    pub(super) fn next_beginnings(&mut self, now: Instant) -> Vec<(Endpoint, Vec<PartitionAsked>)> {
        if now < self.begin_at {
            return Vec::new();
        }
        let mut by_leader: BTreeMap<BrokerId, Vec<PartitionAsked>> = BTreeMap::new();
        for id in &self.wanted {
            if let Some((leader, leader_epoch)) = self.catalogue.leader(id) {
                let id = id.clone();
                let asked = PartitionAsked { id, leader_epoch };
                by_leader.entry(leader).or_default().push(asked);
            }
        }
        let mut batches = Vec::new();
        for (leader, partitions) in by_leader {
            let Some(endpoint) = self.brokers.get(&leader).cloned() else {
                continue;
            };
            for asked in &partitions {
                self.wanted.remove(&asked.id);
                self.asked.insert(asked.id.clone());
            }
            batches.push((endpoint, partitions));
        }
        batches
    }

    /// When leaders may be asked next.
    pub(super) fn begin_at(&self) -> Option<Instant> {
        let led = |id: &&TopicPartition| self.catalogue.leader(id).is_some();
        self.wanted.iter().find(led).map(|_| self.begin_at)
    }

    /// What leaders have said. Those of which nothing was said are asked for again, later.
    pub(super) fn began(
        &mut self,
        now: Instant,
        asked: &[TopicPartition],
        beginnings: Option<Beginnings>,
    ) {
        let beginnings = beginnings.unwrap_or_default();
        self.settings.extend(beginnings.settings);
        for id in asked {
            self.asked.remove(id);
            match beginnings.bounds.get(id) {
                Some(bounds) => {
                    self.no_bounds.remove(id);
                    self.bounds.insert(id.clone(), *bounds);
                }
                None => {
                    self.unbounded(id, beginnings.refused.get(id));
                    self.wanted.insert(id.clone());
                    self.begin_at = now.after(BEGIN_AGAIN);
                    self.look_soon();
                }
            }
        }
    }

    /// Says why a leader's answer is of no use, once for each reason.
    fn unbounded(&mut self, id: &TopicPartition, why: Option<&NoBounds>) {
        let Some(why) = why else {
            return;
        };
        let before = self.no_bounds.insert(id.clone(), why.clone());
        if before.as_ref() != Some(why) {
            tracing::warn!("{id} waits: {why}");
        }
    }

    /// Takes in a shard's question.
    pub(super) fn asked(&mut self, shard: ShardId, asked: Asked) {
        if self.questions.take(shard, asked) {
            self.look_soon();
        }
    }

    /// The next broker to be asked shards' questions; where nobody knows the broker, the answers
    /// stand already.
    pub(super) fn next_inquiry(&mut self) -> Option<Inquiry> {
        let (broker, errands) = self.questions.next_batch()?;
        Some(match self.brokers.get(&broker).cloned() {
            Some(endpoint) => Inquiry::Ask(endpoint, errands),
            None => {
                self.questions.answered(broker);
                Inquiry::Answered(unavailable(&errands))
            }
        })
    }

    /// The answers to those who asked for their leader.
    pub(super) fn leader_answers(&mut self, is_seen: bool) -> Vec<(ShardId, CursorId, Answer)> {
        let waiting = self.questions.take_leaders();
        let answers = waiting.into_iter().map(|asked| {
            let topic = self.topics.get(&asked.id.topic).filter(|_| is_seen);
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
            (asked.shard, asked.cursor, answer)
        });
        answers.collect()
    }
}

/// What is to be done about shards' questions.
pub(super) enum Inquiry {
    /// Ask this broker.
    Ask(Endpoint, Vec<Errand>),
    /// Nobody can be asked.
    Answered(Vec<(ShardId, CursorId, Answer)>),
}

fn unavailable(errands: &[Errand]) -> Vec<(ShardId, CursorId, Answer)> {
    let answers = errands.iter();
    answers
        .map(|errand| (errand.shard, errand.cursor, Answer::Unavailable))
        .collect()
}
