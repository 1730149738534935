//! What is mirrored, against what the sources have: mirrors get their shards, topics that match are
//! started, topics that grow are grown, and every partition gets its machine.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::control::errands::{begin, inquire};
use crate::io::{Clock, World};
use crate::mirror::{Desired, MirrorName, MirrorSettings, MirrorTopic, PartitionKey, Record};
use crate::model::{PartitionIndex, TopicName, TopicPartition};
use crate::protocol::mirror_rpc::{StartMirrorTopicsRequest, TopicMetadata};
use crate::session::{ClusterView, TopicView, look_at};
use crate::shard::inbox::{Cause, Order};

use super::Node;
use super::event::{Event, Then};
use super::feed::{Feed, Inquiry};

impl<W: World> Node<W> {
    /// Every mirror that is kept has a feed, and every other feed is gone.
    pub(super) async fn reconcile_mirrors(&mut self) {
        let mirrors = self.state().registry().mirrors();
        let wanted: Vec<(MirrorName, MirrorSettings)> = mirrors
            .filter_map(|(name, mirror)| Some((name.clone(), mirror.read_settings()?)))
            .collect();
        let names: BTreeSet<&MirrorName> = wanted.iter().map(|(name, _)| name).collect();
        let gone = self.feeds.keys().filter(|name| !names.contains(name));
        for name in gone.cloned().collect::<Vec<_>>() {
            let feed = self.feeds.remove(&name).expect("just listed");
            for tie in feed.shards {
                self.order(tie.id, Order::Close).await;
            }
        }
        for (name, settings) in &wanted {
            if self.feeds.contains_key(name) {
                continue;
            }
            let ties = (self.threads)(name, settings);
            for tie in &ties {
                self.shards.insert(tie.id, Some(name.clone()));
                self.ties.insert(tie.id, tie.orders.clone());
            }
            let now = self.world.clock().now();
            let feed = Feed::new(settings, ties, now);
            self.feeds.insert(name.clone(), feed);
        }
    }

    /// Every partition of a topic that is kept has a machine that knows what is wanted.
    pub(super) fn reconcile_topics(&mut self) {
        let topics = self.state().registry().topics();
        let topics: Vec<(TopicName, MirrorTopic)> = topics
            .map(|(name, said)| (name.clone(), said.clone()))
            .collect();
        let mut kept = BTreeSet::new();
        for (name, said) in topics {
            for index in 0..said.partitions {
                let index = i32::try_from(index).ok().and_then(PartitionIndex::new);
                let key = PartitionKey {
                    mirror: said.mirror.clone(),
                    topic: said.id,
                    partition: index.expect("the registry refuses more"),
                };
                let id = TopicPartition {
                    topic: name.clone(),
                    partition: key.partition,
                };
                let known = self.partitions.get(&key);
                if known.is_none_or(|one| one.life.desired() != said.desired) {
                    self.begin(&key, id, said.desired);
                }
                kept.insert(key);
            }
        }
        let gone = self.partitions.keys().filter(|key| !kept.contains(*key));
        for key in gone.cloned().collect::<Vec<_>>() {
            if let Some(one) = self.partitions.remove(&key)
                && self.by_id.get(&one.id) == Some(&key)
            {
                // It may be in another mirror by now.
                self.by_id.remove(&one.id);
            }
        }
    }

    /// Takes in a view of a mirror's source.
    pub(super) async fn see(&mut self, mirror: &MirrorName, view: &ClusterView) {
        if !self.is_of_source(mirror, view) {
            return;
        }
        let now = self.world.clock().now();
        let Some(feed) = self.feeds.get_mut(mirror) else {
            return;
        };
        feed.cluster_id = Some(view.cluster_id.clone());
        feed.answers();
        let seen = feed.see(now, view);
        self.source_is_back(mirror);
        self.open_vault(mirror, &view.cluster_id);
        if let Some(brokers) = seen.brokers {
            let shards = self.feeds.get(mirror).map(|feed| feed.shards.clone());
            for tie in shards.into_iter().flatten() {
                self.order(tie.id, Order::Brokers(brokers.clone())).await;
            }
        }
        for (id, leader, epoch) in seen.led {
            if let Some(key) = self.by_id.get(&id).filter(|key| key.mirror == *mirror) {
                self.touched.insert(key.clone());
                if let Some(shard) = self.partitions.get(key).and_then(|one| one.at_source()) {
                    self.order(shard, Order::Leader { id, leader, epoch }).await;
                }
            }
        }
        for (id, cause) in seen.ended {
            self.source_ended(mirror, &id, cause);
        }
        self.learn(mirror, view);
        self.discover(mirror, view);
    }

    /// Whether a view is of the cluster that the mirror is of; the first one says which that is.
    fn is_of_source(&mut self, mirror: &MirrorName, view: &ClusterView) -> bool {
        let known = self.state().registry().mirror(mirror.as_str());
        let Ok((_, known)) = known else {
            return false;
        };
        match &known.source_cluster_id {
            Some(id) if *id != view.cluster_id => {
                let why = format!(
                    "a broker of the source answers for cluster {}, not {id}: correct \
                     bootstrap.servers of the mirror '{mirror}'",
                    view.cluster_id
                );
                if let Some(feed) = self.feeds.get_mut(mirror)
                    && feed.trouble.as_ref() != Some(&why)
                {
                    tracing::error!("{why}");
                    feed.answers();
                    feed.trouble = Some(why);
                }
                false
            }
            Some(_) => true,
            None => {
                let record = known.of_cluster(&view.cluster_id);
                let record = Record::Mirror(mirror.clone(), Some(record));
                self.writes.push((record, Then::Nothing));
                true
            }
        }
    }

    /// Ids and partition counts of topics that are mirrored.
    fn learn(&mut self, mirror: &MirrorName, view: &ClusterView) {
        let registry = self.state().registry();
        let mut records = Vec::new();
        for seen in view.topics.iter().filter(|seen| !seen.error.is_error()) {
            let known = registry.topic(&seen.name);
            if known.is_none_or(|known| known.mirror != *mirror) {
                continue;
            }
            let count = u32::try_from(seen.partitions.len()).unwrap_or(u32::MAX);
            match registry.learn(&seen.name, seen.id, count) {
                Ok(record) => records.extend(record),
                // Its partitions fail by what the catalogue says of it.
                Err(refusal) => tracing::debug!("{refusal}"),
            }
        }
        for record in records {
            self.writes.push((record, Then::Nothing));
        }
    }

    /// Starts topics that the mirror's patterns match and that nobody has started.
    fn discover(&mut self, mirror: &MirrorName, view: &ClusterView) {
        let registry = self.state().registry();
        let Ok((_, patterns)) = registry.mirror(mirror.as_str()) else {
            return;
        };
        let fresh = view.topics.iter().filter(|seen| {
            let is_known = registry.topic(&seen.name).is_some();
            let is_fresh = !seen.error.is_error() && !is_known && patterns.takes(&seen.name);
            is_fresh && !self.takes_a_word(mirror, &seen.name)
        });
        let topics: Vec<TopicMetadata> = fresh.map(metadata).collect();
        if topics.is_empty() {
            return;
        }
        let request = StartMirrorTopicsRequest {
            mirror_name: mirror.to_string(),
            topics,
            ..StartMirrorTopicsRequest::default()
        };
        match registry.start(self.state().states(), &request) {
            Ok(plan) => {
                for (topic, outcome) in &plan.topics {
                    match outcome {
                        Ok(()) => tracing::info!("{mirror} mirrors {topic} from now on"),
                        Err(refusal) => tracing::warn!("{mirror} does not take {topic}: {refusal}"),
                    }
                }
                let records = plan.records.into_iter();
                self.writes
                    .extend(records.map(|record| (record, Then::Nothing)));
            }
            Err(refusal) => tracing::warn!("{mirror}: {refusal}"),
        }
    }

    /// A topic of the source goes no further.
    fn source_ended(&mut self, mirror: &MirrorName, id: &TopicPartition, cause: Cause) {
        let key = self.by_id.get(id).filter(|key| key.mirror == *mirror);
        let Some(key) = key.cloned() else {
            return;
        };
        let one = self.partitions.get(&key).expect("by_id is of partitions");
        if one.life.desired() == Desired::Mirroring && one.acting.is_some() {
            self.fails(&key, cause.to_string(), false);
        }
    }

    /// Everything that is due at the sources.
    pub(super) fn ask_sources(&mut self) {
        let now = self.world.clock().now();
        let names: Vec<MirrorName> = self.feeds.keys().cloned().collect();
        for name in names {
            let feed = self.feeds.get_mut(&name).expect("just listed");
            if !feed.is_looking && feed.look_at <= now {
                feed.is_looking = true;
                let (addresses, mirror) = (feed.addresses(), name.clone());
                self.errand(move |world, opening| async move {
                    let outcome = look_at(&world, &addresses, opening).await;
                    let outcome = outcome.map(|(_, view)| view);
                    Event::Seen { mirror, outcome }
                });
            }
            let feed = self.feeds.get_mut(&name).expect("just listed");
            for (leader, partitions) in feed.next_beginnings(now) {
                let mirror = name.clone();
                self.errand(move |world, opening| async move {
                    let asked = partitions.iter().map(|asked| asked.id.clone()).collect();
                    let outcome = begin(&world, &leader, &partitions, opening).await;
                    Event::Began {
                        mirror,
                        asked,
                        outcome,
                    }
                });
            }
            self.ask_questions(&name);
        }
    }

    fn ask_questions(&mut self, name: &MirrorName) {
        while let Some(inquiry) = self.feeds.get_mut(name).and_then(Feed::next_inquiry) {
            let mirror = Some(name.clone());
            match inquiry {
                Inquiry::Ask(leader, errands) => self.errand(move |world, opening| async move {
                    let broker = leader.broker;
                    let answers = inquire(&world, &leader, &errands, opening, None).await;
                    Event::Answered {
                        mirror,
                        broker,
                        answers,
                    }
                }),
                Inquiry::Answered(answers) => self.answers_due.extend(answers),
            }
        }
    }

    /// How long between two views of a source.
    pub(super) fn look_interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.options.metadata_interval_ms))
    }

    /// Where a partition's logs are kept books of.
    pub(super) fn shelf_of(&self, key: &PartitionKey) -> Option<MirrorName> {
        self.membership.is_none().then(|| key.mirror.clone())
    }
}

/// A topic of the source, as a request to start it states it.
pub(super) fn metadata(seen: &TopicView) -> TopicMetadata {
    TopicMetadata {
        topic_id: seen.id,
        topic_name: seen.name.to_string(),
        num_partitions: i32::try_from(seen.partitions.len()).unwrap_or(i32::MAX),
    }
}
