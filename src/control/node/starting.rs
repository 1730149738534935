//! What a start of topics would do: both sides are asked, and nothing is changed.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use crate::control::admin::AdminAnswer;
use crate::control::destination::way_back::{Found, Sought};
use crate::control::errands::{Beginnings, begin};
use crate::io::World;
use crate::mirror::{MirrorName, Pattern, State};
use crate::model::{Offset, TopicId, TopicName, TopicPartition};
use crate::protocol::mirror_rpc::{
    LostRange, StartMirrorTopicsRequest, StartMirrorTopicsResponse, StartPlan, TopicMetadata,
};
use crate::session::{BrokerAddress, PartitionAsked};
use crate::shard::inbox::Endpoint;

use super::Node;
use super::operators::planned;
use super::returning::{UNHEARD, UNLED};
use super::topics::metadata;

/// A partition of which something is to be said.
struct Draft {
    id: TopicPartition,
    plan: StartPlan,
    /// Its leader at the source.
    source: Option<(Endpoint, PartitionAsked)>,
    /// It would be mirrored back.
    sought: Option<Sought>,
}

impl<W: World> Node<W> {
    /// Tells what a start would do, once everybody was asked.
    pub(super) fn plan_start(
        &self,
        request: &StartMirrorTopicsRequest,
        answer: oneshot::Sender<AdminAnswer>,
    ) {
        let registry = self.state().registry();
        let (_, told) = planned(registry.start(self.state().states(), request));
        let (error_code, error_message, mut topics) = told;
        let (mut drafts, mut way) = (Vec::new(), None);
        if let Ok((mirror, _)) = registry.mirror(&request.mirror_name) {
            let sound = topics.iter().filter(|topic| topic.error_code == 0);
            let names = sound.filter_map(|topic| TopicName::new(&topic.name));
            drafts.extend(names.flat_map(|name| self.drafts(mirror, &name)));
            way = Some(self.way(mirror));
        }
        let (world, opening) = (self.world.clone(), self.opening);
        self.world.spawn(async move {
            let ends = ends(&world, opening, &drafts).await;
            let sought: Vec<Sought> = drafts.iter().filter_map(|one| one.sought.clone()).collect();
            let found = match way {
                Some(way) if !sought.is_empty() => way.seek(&world, opening, &sought).await,
                _ => BTreeMap::new(),
            };
            for topic in &mut topics {
                let of_topic = drafts
                    .iter()
                    .filter(|one| one.id.topic.as_str() == topic.name);
                let plans: Vec<StartPlan> =
                    of_topic.map(|one| one.decided(&ends, &found)).collect();
                topic.plan = Some(StartPlan::write_all(&plans));
            }
            let said = StartMirrorTopicsResponse {
                error_code,
                error_message,
                topics,
                ..StartMirrorTopicsResponse::default()
            };
            // Whoever has gone away does not want it.
            drop(answer.send(AdminAnswer::Start(said)));
        });
    }

    /// The same request with the topics that its patterns match and that nobody has started: who
    /// asks by pattern means those that there are, beside those that will appear.
    pub(super) fn with_matching(
        &self,
        request: &StartMirrorTopicsRequest,
    ) -> StartMirrorTopicsRequest {
        let mut request = request.clone();
        let registry = self.state().registry();
        let mirror = registry.mirror(&request.mirror_name).ok();
        let Some(feed) = mirror.and_then(|(name, _)| self.feeds.get(name)) else {
            return request;
        };
        let compiled = |texts: &[String]| -> Vec<Pattern> {
            let patterns = texts.iter().map(|text| Pattern::new(text));
            patterns.filter_map(Result::ok).collect()
        };
        let include = compiled(&request.include_patterns);
        let exclude = compiled(&request.exclude_patterns);
        let any = |patterns: &[Pattern], name: &TopicName| {
            patterns.iter().any(|pattern| pattern.matches(name))
        };
        let named: BTreeSet<&str> = request
            .topics
            .iter()
            .map(|topic| topic.topic_name.as_str())
            .collect();
        let fresh = feed.topic_views().filter(|seen| {
            let name = &seen.name;
            let is_known = registry.topic(name).is_some() || named.contains(name.as_str());
            !is_known && any(&include, name) && !any(&exclude, name)
        });
        let fresh: Vec<TopicMetadata> = fresh.map(metadata).collect();
        request.topics.extend(fresh);
        request
    }

    fn drafts(&self, mirror: &MirrorName, topic: &TopicName) -> Vec<Draft> {
        let Some(feed) = self.feeds.get(mirror) else {
            return Vec::new();
        };
        let Some(seen) = feed.topic(topic) else {
            return Vec::new();
        };
        let drafts = seen.partitions.iter().map(|partition| {
            let id = TopicPartition {
                topic: topic.clone(),
                partition: partition.index,
            };
            let asked = PartitionAsked {
                id: id.clone(),
                leader_epoch: partition.epoch,
            };
            let leader = partition.leader.and_then(|leader| feed.endpoint(leader));
            self.draft(mirror, (id, seen.id), leader.map(|leader| (leader, asked)))
        });
        drafts.collect()
    }

    fn draft(
        &self,
        mirror: &MirrorName,
        (id, source_topic): (TopicPartition, TopicId),
        source: Option<(Endpoint, PartitionAsked)>,
    ) -> Draft {
        let known = self.by_id.get(&id);
        let state = known.and_then(|key| Some(self.state().states().get(key)?.state));
        let mut plan = StartPlan {
            partition: id.partition.value(),
            state: state.map(|state| state.name().to_owned()),
            ..StartPlan::default()
        };
        let is_mirrored = state.is_some_and(|state| state != State::Stopped);
        let there = self.membership.as_ref();
        let there = there
            .and_then(|member| member.partition(&id))
            .map(|(topic, _)| topic);
        let sought = match there {
            _ if is_mirrored => None,
            Some(topic) if self.has_peer(mirror) => {
                let asked = source.as_ref();
                let source = asked.map(|(at, asked)| (BrokerAddress::from(at), asked.leader_epoch));
                self.sought_of(&id, (topic, source_topic), source)
            }
            _ => None,
        };
        if is_mirrored {
            plan.hindrances.push("it is mirrored already".to_owned());
        } else if let Some(topic) = there.filter(|_| sought.is_none()) {
            plan.hindrances.push(self.why_not(mirror, topic));
        } else if source.is_none() {
            plan.hindrances
                .push("nobody leads the partition at the source".to_owned());
        }
        Draft {
            id,
            plan,
            source: source.filter(|_| !is_mirrored),
            sought,
        }
    }

    fn why_not(&self, mirror: &MirrorName, topic: TopicId) -> String {
        match self.has_peer(mirror) {
            true => UNLED.to_owned(),
            false => format!(
                "the destination has a topic of this name already (its id is {topic}), and the \
                 mirror names no peer to mirror it back with"
            ),
        }
    }
}

impl Draft {
    fn decided(
        &self,
        ends: &BTreeMap<TopicPartition, (Offset, Offset)>,
        found: &BTreeMap<TopicPartition, Found>,
    ) -> StartPlan {
        let mut plan = self.plan.clone();
        let ends = ends.get(&self.id).filter(|_| plan.hindrances.is_empty());
        let mut from = ends.map(|(start, _)| *start);
        match found.get(&self.id).filter(|_| self.sought.is_some()) {
            Some(Found::At { parting, end }) => {
                from = from.map(|from| from.max(parting.from));
                plan.parts_at = Some(parting.from.value());
                plan.cut = range(parting.from, *end);
            }
            Some(Found::Later(why) | Found::NotYet(why) | Found::Never(why)) => {
                plan.hindrances.push(why.clone());
                return plan;
            }
            None if self.sought.is_some() => {
                plan.hindrances.push(UNHEARD.to_owned());
                return plan;
            }
            None => {}
        }
        plan.copy = from
            .zip(ends)
            .and_then(|(from, (_, end))| range(from, *end));
        plan
    }
}

fn range(from: Offset, to: Offset) -> Option<LostRange> {
    (from < to).then(|| LostRange {
        from: from.value(),
        to: to.value(),
    })
}

/// Where logs begin and end at the source.
async fn ends<W: World>(
    world: &W,
    opening: crate::session::Opening,
    drafts: &[Draft],
) -> BTreeMap<TopicPartition, (Offset, Offset)> {
    let mut by_leader: BTreeMap<_, (Endpoint, Vec<PartitionAsked>)> = BTreeMap::new();
    for (leader, asked) in drafts.iter().filter_map(|one| one.source.as_ref()) {
        let all = by_leader.entry(leader.broker);
        let (_, all) = all.or_insert_with(|| (leader.clone(), Vec::new()));
        all.push(asked.clone());
    }
    let mut ends = BTreeMap::new();
    for (leader, asked) in by_leader.into_values() {
        match begin(world, &leader, &asked, opening).await {
            Ok(Beginnings { bounds, .. }) => ends.extend(bounds),
            Err(fault) => tracing::warn!("{fault}"),
        }
    }
    ends
}

#[cfg(test)]
mod tests;
