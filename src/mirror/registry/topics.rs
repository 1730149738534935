//! What operators do with the topics of a mirror.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Offset, TopicId, TopicName};
use crate::protocol::mirror_rpc::{
    PauseMirrorTopicsRequest, RecoverMirrorTopicsRequest, ResumeMirrorTopicsRequest,
    StartMirrorTopicsRequest, StopMirrorTopicsRequest, TopicMetadata,
};

use super::{
    Desired, Mirror, MirrorName, MirrorTopic, PartitionKey, PartitionStates, Pattern, Record,
    Refusal, Registry, State, all_in, any, bounded, on_record,
};

/// What comes of a request for topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be written, all or none.
    pub records: Vec<Record>,
    /// The topics of the request, each once, and those that its patterns touch: why not, where one
    /// was refused.
    pub topics: Vec<(String, Result<(), Refusal>)>,
}

/// What comes of a request to try again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The partitions that have failed: each is to be told [`crate::mirror::Input::Recover`].
    pub partitions: Vec<PartitionKey>,
    /// The topics of the request: why not, if it was refused.
    pub topics: Vec<(String, Result<(), Refusal>)>,
}

/// The operator's view: −1 stands for "whatever has changed".
fn seen(state_offset: i64) -> Option<Offset> {
    Offset::from_wire(state_offset)
}

fn topic_name(name: &str) -> Result<TopicName, Refusal> {
    TopicName::new(name).ok_or_else(|| Refusal::TopicName(name.to_owned()))
}

/// The pattern that matches this name and no other: of what names are made of, only the dot means
/// something else in a pattern.
fn literal(topic: &TopicName) -> String {
    topic.as_str().replace('.', "\\.")
}

fn without(patterns: &mut Vec<Pattern>, texts: &[String]) {
    patterns.retain(|pattern| !texts.iter().any(|text| text == pattern.text()));
}

fn with(patterns: &mut Vec<Pattern>, texts: &[String]) -> Result<(), Refusal> {
    for text in texts {
        if !patterns.iter().any(|pattern| pattern.text() == text) {
            patterns.push(Pattern::new(text)?);
        }
    }
    Ok(())
}

impl Registry {
    /// Starts topics of a mirror, now, and those that its patterns match as they appear. Topics
    /// that a new pattern excludes are stopped; stopped ones that a pattern of the request matches
    /// are started.
    ///
    /// A topic is refused that is excluded, is not the one it was, belongs to another mirror, or is
    /// not stopped on all partitions. One that is mirrored already is left as it is.
    ///
    /// # Errors
    /// There is no such mirror, a pattern is none, or a topic has changed since.
    pub fn start(
        &self,
        states: &PartitionStates,
        request: &StartMirrorTopicsRequest,
    ) -> Result<Plan, Refusal> {
        let (name, mirror) = self.mirror(&request.mirror_name)?;
        let stated = request.topics.iter().map(|topic| topic.topic_name.as_str());
        self.seen_as_now(stated, request.state_offset)?;
        let mut next = self.with_patterns(mirror, request)?;
        let mut plan = Plan::default();
        let mut named = BTreeSet::new();
        let mut ids = BTreeMap::new();
        let mut started = Vec::new();
        for stated in &request.topics {
            if !named.insert(stated.topic_name.as_str()) {
                continue;
            }
            let begun = self.start_topic(states, name, &next, stated);
            let begun = begun.and_then(|begun| alone_in_id(&mut ids, stated.topic_id, begun));
            if let Ok((topic, _)) = &begun
                && !any(&next.include, topic)
            {
                started.push(literal(topic));
            }
            plan.put(&stated.topic_name, begun.map(|(_, record)| record));
        }
        with(&mut next.include, &started)?;
        next.include = bounded(next.include)?;
        next.exclude = bounded(next.exclude)?;
        self.start_included(states, name, &next, request, &mut plan)?;
        self.stop_matching(name, &request.exclude_patterns, &named, &mut plan)?;
        plan.put_mirror(name, mirror, &next);
        Ok(plan)
    }

    /// Starts the stopped topics of a mirror that the patterns of a request mean.
    fn start_included(
        &self,
        states: &PartitionStates,
        name: &MirrorName,
        next: &Mirror,
        request: &StartMirrorTopicsRequest,
        plan: &mut Plan,
    ) -> Result<(), Refusal> {
        let mut meant = Vec::new();
        with(&mut meant, &request.include_patterns)?;
        for (topic, known) in self.topics_of(name) {
            let is_stopped = known.desired == Desired::Stopped && !any(&next.exclude, topic);
            let mut named = request.topics.iter();
            let is_named = named.any(|stated| stated.topic_name == topic.as_str());
            if is_stopped && !is_named && any(&meant, topic) {
                let stated = TopicMetadata {
                    topic_id: known.id,
                    topic_name: topic.to_string(),
                    num_partitions: 0,
                };
                let begun = self.start_topic(states, name, next, &stated);
                plan.put(topic.as_str(), begun.map(|(_, record)| record));
            }
        }
        Ok(())
    }

    /// The mirror with the patterns of a request: what is included is no longer excluded, and the
    /// other way round.
    fn with_patterns(
        &self,
        mirror: &Mirror,
        request: &StartMirrorTopicsRequest,
    ) -> Result<Mirror, Refusal> {
        let mut next = mirror.clone();
        for topic in &request.topics {
            let stated = topic.topic_name.clone();
            let literal = topic_name(&stated).map(|name| literal(&name));
            without(&mut next.exclude, &[stated]);
            without(&mut next.exclude, &literal.into_iter().collect::<Vec<_>>());
        }
        without(&mut next.exclude, &request.include_patterns);
        with(&mut next.include, &request.include_patterns)?;
        without(&mut next.include, &request.exclude_patterns);
        with(&mut next.exclude, &request.exclude_patterns)?;
        Ok(next)
    }

    fn start_topic(
        &self,
        states: &PartitionStates,
        mirror: &MirrorName,
        next: &Mirror,
        stated: &TopicMetadata,
    ) -> Result<(TopicName, Option<Record>), Refusal> {
        let topic = topic_name(&stated.topic_name)?;
        if any(&next.exclude, &topic) {
            return Err(Refusal::Excluded(topic));
        }
        self.same_topic(&topic, stated.topic_id)?;
        let count = stated.num_partitions;
        let partitions = u32::try_from(count).map_err(|_| {
            let topic = topic.clone();
            Refusal::PartitionCount { topic, count }
        })?;
        let mut begun = MirrorTopic {
            id: stated.topic_id,
            mirror: mirror.clone(),
            desired: Desired::Mirroring,
            partitions,
        };
        if let Some(known) = self.topic(&topic) {
            if !is_startable(states, mirror, &topic, known)? {
                return Ok((topic, None));
            }
            begun.partitions = partitions.max(known.partitions);
            // An id that is known is not forgotten because a request leaves it out.
            if known.id != TopicId::ZERO {
                begun.id = known.id;
            }
        }
        let record = Record::Topic(topic.clone(), Some(begun));
        Ok((topic, Some(record)))
    }

    /// Stops topics of a mirror, whatever has become of their partitions: a failover waits for
    /// nothing. What the patterns match is stopped as well, and excluded from now on.
    ///
    /// A topic is refused that belongs to no mirror or to another. One that is stopped already is
    /// left as it is. It keeps its mirror: the way back asks where it was stopped.
    ///
    /// # Errors
    /// There is no such mirror, a pattern is none, or a topic has changed since.
    pub fn stop(&self, request: &StopMirrorTopicsRequest) -> Result<Plan, Refusal> {
        let (name, mirror) = self.mirror(&request.mirror_name)?;
        let stated = request.topics.iter().map(String::as_str);
        self.seen_as_now(stated, request.state_offset)?;
        let mut next = mirror.clone();
        without(&mut next.include, &request.patterns);
        with(&mut next.exclude, &request.patterns)?;
        next.exclude = bounded(next.exclude)?;
        let mut plan = Plan::default();
        let named: BTreeSet<&str> = request.topics.iter().map(String::as_str).collect();
        for stated in &named {
            let stopped = self.of_mirror(name, stated).map(|(topic, known)| {
                let is_stopped = known.desired == Desired::Stopped;
                (!is_stopped).then(|| wished(topic, known, Desired::Stopped))
            });
            plan.put(stated, stopped);
        }
        self.stop_matching(name, &request.patterns, &named, &mut plan)?;
        plan.put_mirror(name, mirror, &next);
        Ok(plan)
    }

    /// Pauses topics of a mirror, all of whose partitions are mirrored. One that is paused already
    /// is left as it is.
    ///
    /// # Errors
    /// There is no such mirror, or a topic has changed since.
    pub fn pause(
        &self,
        states: &PartitionStates,
        request: &PauseMirrorTopicsRequest,
    ) -> Result<Plan, Refusal> {
        let (name, _) = self.mirror(&request.mirror_name)?;
        self.each(
            name,
            &request.topics,
            request.state_offset,
            |topic, known| {
                match known.desired {
                    Desired::Stopped => return Err(Refusal::AlreadyStopped(topic.clone())),
                    Desired::Paused => return Ok(None),
                    Desired::Mirroring => all_in(states, topic, known, State::Mirroring)?,
                }
                Ok(Some(wished(topic, known, Desired::Paused)))
            },
        )
    }

    /// Goes on with topics of a mirror, all of whose partitions are paused. One that is mirrored
    /// already is left as it is.
    ///
    /// # Errors
    /// There is no such mirror, or a topic has changed since.
    pub fn resume(
        &self,
        states: &PartitionStates,
        request: &ResumeMirrorTopicsRequest,
    ) -> Result<Plan, Refusal> {
        let (name, _) = self.mirror(&request.mirror_name)?;
        self.each(
            name,
            &request.topics,
            request.state_offset,
            |topic, known| {
                match known.desired {
                    Desired::Stopped => return Err(Refusal::NotPaused(topic.clone())),
                    Desired::Mirroring => return Ok(None),
                    Desired::Paused => all_in(states, topic, known, State::Paused)?,
                }
                Ok(Some(wished(topic, known, Desired::Mirroring)))
            },
        )
    }

    /// Has the failed partitions of topics tried again, those included that had been given up.
    ///
    /// # Errors
    /// There is no such mirror.
    pub fn recover(
        &self,
        states: &PartitionStates,
        request: &RecoverMirrorTopicsRequest,
    ) -> Result<Recovery, Refusal> {
        let (name, _) = self.mirror(&request.mirror_name)?;
        let mut recovery = Recovery::default();
        for stated in &request.topics {
            let outcome = self.of_mirror(name, stated).map(|(_, known)| {
                let failed = on_record(states, known)
                    .filter(|(_, record)| record.state == State::Failed)
                    .map(|(partition, _)| PartitionKey {
                        mirror: name.clone(),
                        topic: known.id,
                        partition,
                    });
                recovery.partitions.extend(failed);
            });
            recovery.topics.push((stated.clone(), outcome));
        }
        Ok(recovery)
    }

    fn each(
        &self,
        mirror: &MirrorName,
        topics: &[String],
        state_offset: i64,
        change: impl Fn(&TopicName, &MirrorTopic) -> Result<Option<Record>, Refusal>,
    ) -> Result<Plan, Refusal> {
        self.seen_as_now(topics.iter().map(String::as_str), state_offset)?;
        let mut plan = Plan::default();
        let named: BTreeSet<&str> = topics.iter().map(String::as_str).collect();
        for stated in named {
            let changed = self
                .of_mirror(mirror, stated)
                .and_then(|(topic, known)| change(topic, known));
            plan.put(stated, changed);
        }
        Ok(plan)
    }

    fn seen_as_now<'t>(
        &self,
        stated: impl Iterator<Item = &'t str>,
        state_offset: i64,
    ) -> Result<(), Refusal> {
        let topics: Vec<TopicName> = stated.filter_map(TopicName::new).collect();
        self.unchanged(topics.iter(), seen(state_offset))
    }

    /// A topic of a mirror, as an operator wrote it.
    fn of_mirror(
        &self,
        mirror: &MirrorName,
        stated: &str,
    ) -> Result<(&TopicName, &MirrorTopic), Refusal> {
        let name = topic_name(stated)?;
        let known = self.topics.get_key_value(&name);
        let (topic, known) = known.ok_or(Refusal::UnknownTopic(name))?;
        if known.said.mirror != *mirror {
            return Err(Refusal::NotInMirror {
                topic: topic.clone(),
                mirror: known.said.mirror.clone(),
            });
        }
        Ok((topic, &known.said))
    }

    /// Stops the topics that the patterns of a request match, but for those that are dealt with.
    ///
    /// What an earlier pattern excludes may be mirrored all the same: its planned stop waits until
    /// nothing is missing.
    fn stop_matching(
        &self,
        name: &MirrorName,
        patterns: &[String],
        named: &BTreeSet<&str>,
        plan: &mut Plan,
    ) -> Result<(), Refusal> {
        let mut meant = Vec::new();
        with(&mut meant, patterns)?;
        for (topic, known) in self.topics_of(name) {
            let is_active = known.desired != Desired::Stopped;
            let is_named = named.contains(topic.as_str());
            if is_active && !is_named && any(&meant, topic) {
                let record = wished(topic, known, Desired::Stopped);
                plan.put(topic.as_str(), Ok(Some(record)));
            }
        }
        Ok(())
    }
}

/// Refuses a topic whose id one of another name is started with by the same request.
fn alone_in_id(
    ids: &mut BTreeMap<TopicId, TopicName>,
    id: TopicId,
    begun: (TopicName, Option<Record>),
) -> Result<(TopicName, Option<Record>), Refusal> {
    if id != TopicId::ZERO {
        if let Some(topic) = ids.get(&id).cloned() {
            return Err(Refusal::TopicIdTaken { id, topic });
        }
        ids.insert(id, begun.0.clone());
    }
    Ok(begun)
}

impl Plan {
    fn put(&mut self, topic: &str, outcome: Result<Option<Record>, Refusal>) {
        let outcome = outcome.map(|record| self.records.extend(record));
        self.topics.push((topic.to_owned(), outcome));
    }

    /// The mirror's own record goes first, if there is something new in it.
    fn put_mirror(&mut self, name: &MirrorName, was: &Mirror, next: &Mirror) {
        if was != next {
            let record = Record::Mirror(name.clone(), Some(next.said()));
            self.records.insert(0, record);
        }
    }
}

fn wished(topic: &TopicName, known: &MirrorTopic, desired: Desired) -> Record {
    let said = MirrorTopic {
        desired,
        ..known.clone()
    };
    Record::Topic(topic.clone(), Some(said))
}

/// Whether a topic that is known can be started; not, where that has been done.
fn is_startable(
    states: &PartitionStates,
    mirror: &MirrorName,
    topic: &TopicName,
    known: &MirrorTopic,
) -> Result<bool, Refusal> {
    let is_ours = known.mirror == *mirror;
    match known.desired {
        Desired::Mirroring if is_ours => return Ok(false),
        Desired::Paused if is_ours => return Err(Refusal::NotStopped(topic.clone())),
        Desired::Mirroring | Desired::Paused => {
            return Err(Refusal::InOtherMirror {
                topic: topic.clone(),
                mirror: known.mirror.clone(),
            });
        }
        Desired::Stopped => {}
    }
    let busy = on_record(states, known).find(|(_, record)| record.state != State::Stopped);
    match busy {
        Some((partition, record)) => Err(Refusal::BeingStopped {
            topic: topic.clone(),
            partition,
            state: record.state,
        }),
        None => Ok(true),
    }
}
