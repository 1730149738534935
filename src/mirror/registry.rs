//! What is mirrored: the mirrors, their topics, and where operators want them.
//!
//! An operation changes nothing: it answers with the records that make the change, all or none of
//! which are to be written, and [`Registry::apply`] takes them in once they are kept. So a registry
//! is always what a replay of its records makes of it.

mod topics;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Offset, PartitionIndex, TopicId, TopicName};

use super::lifecycle::{Desired, State};
use super::name::MirrorName;
use super::records::{
    ClusterMirror, LastMirrorEpochs, MirrorPartitionState, MirrorTopic, PartitionKey, Record,
};
use super::refusal::Refusal;
use super::selection::{EXCLUDED, Pattern, SelectionFault};
use super::settings::{MirrorSettings, elements};

pub use topics::{Plan, Recovery};

/// More mirrors are refused.
pub const MIRRORS_MAX: usize = 1_000;
/// More patterns in a list of a mirror are refused.
pub const PATTERNS_MAX: usize = 10_000;
/// The settings that become lists of patterns.
pub const TOPICS_INCLUDE: &str = "topics.include";
/// As [`TOPICS_INCLUDE`].
pub const TOPICS_EXCLUDE: &str = "topics.exclude";
const BOOTSTRAP_SERVERS: &str = "bootstrap.servers";
const SOURCE_CLUSTER_ID: &str = "source.cluster.id";

/// Where partitions are, by what is on record.
pub type PartitionStates = BTreeMap<PartitionKey, MirrorPartitionState>;
/// Where partitions were stopped, by what is on record.
pub type Positions = BTreeMap<PartitionKey, LastMirrorEpochs>;

/// A mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The cluster that it mirrors, once that is known.
    pub source_cluster_id: Option<String>,
    /// Topics that are mirrored as they appear.
    pub include: Vec<Pattern>,
    /// Topics that are not, all the same.
    pub exclude: Vec<Pattern>,
    /// All other settings.
    pub settings: BTreeMap<String, String>,
}

impl Mirror {
    /// Whether a topic is to be mirrored as it appears.
    #[must_use]
    pub fn takes(&self, topic: &TopicName) -> bool {
        any(&self.include, topic) && !any(&self.exclude, topic)
    }

    /// Its settings, read; none where a record says what cannot be.
    #[must_use]
    pub fn read_settings(&self) -> Option<MirrorSettings> {
        MirrorSettings::read(&self.settings).ok()
    }

    /// The same mirror, of this cluster.
    #[must_use]
    pub fn of_cluster(&self, id: &str) -> ClusterMirror {
        ClusterMirror {
            source_cluster_id: Some(id.to_owned()),
            ..self.said()
        }
    }

    fn read(said: &ClusterMirror) -> Result<Mirror, SelectionFault> {
        Ok(Mirror {
            source_cluster_id: said.source_cluster_id.clone(),
            include: compiled(&said.include)?,
            exclude: compiled(&said.exclude)?,
            settings: said.settings.clone(),
        })
    }

    /// A mirror as it is asked for.
    fn declared(mut settings: BTreeMap<String, String>) -> Result<Mirror, Refusal> {
        let has_source = settings
            .get(BOOTSTRAP_SERVERS)
            .is_some_and(|servers| elements(servers).next().is_some());
        if !has_source {
            return Err(Refusal::NoSource);
        }
        let patterns = [TOPICS_INCLUDE, TOPICS_EXCLUDE];
        let mut others = settings.clone();
        others.retain(|name, _| !patterns.contains(&name.as_str()));
        MirrorSettings::read(&others)?;
        let include = listed(&settings.remove(TOPICS_INCLUDE).unwrap_or_default());
        let exclude = settings.remove(TOPICS_EXCLUDE);
        let exclude = listed(exclude.as_deref().unwrap_or(EXCLUDED));
        Ok(Mirror {
            source_cluster_id: settings.remove(SOURCE_CLUSTER_ID),
            include: bounded(compiled(&include)?)?,
            exclude: bounded(compiled(&exclude)?)?,
            settings,
        })
    }

    fn said(&self) -> ClusterMirror {
        let texts = |patterns: &[Pattern]| {
            let texts = patterns.iter().map(|pattern| pattern.text().to_owned());
            texts.collect()
        };
        ClusterMirror {
            source_cluster_id: self.source_cluster_id.clone(),
            include: texts(&self.include),
            exclude: texts(&self.exclude),
            settings: self.settings.clone(),
        }
    }
}

fn any(patterns: &[Pattern], topic: &TopicName) -> bool {
    patterns.iter().any(|pattern| pattern.matches(topic))
}

fn compiled(texts: &[String]) -> Result<Vec<Pattern>, SelectionFault> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

/// A topic, and when it last changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Topic {
    said: MirrorTopic,
    changed: Offset,
}

/// The mirrors and their topics. Control owns it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    mirrors: BTreeMap<MirrorName, Mirror>,
    topics: BTreeMap<TopicName, Topic>,
    /// The topics of each id that is known, by what is in `topics`.
    ids: BTreeMap<TopicId, BTreeSet<TopicName>>,
}

impl Registry {
    /// Nothing is mirrored.
    #[must_use]
    pub fn new() -> Registry {
        Registry::default()
    }

    /// The mirrors, by name.
    pub fn mirrors(&self) -> impl Iterator<Item = (&MirrorName, &Mirror)> {
        self.mirrors.iter()
    }

    /// A mirror by its name, as an operator wrote it.
    ///
    /// # Errors
    /// There is none.
    pub fn mirror(&self, name: &str) -> Result<(&MirrorName, &Mirror), Refusal> {
        let known = MirrorName::new(name).and_then(|name| self.mirrors.get_key_value(&name));
        known.ok_or_else(|| Refusal::UnknownMirror(name.to_owned()))
    }

    /// The topics of all mirrors, those that are stopped included, by name.
    pub fn topics(&self) -> impl Iterator<Item = (&TopicName, &MirrorTopic)> {
        self.topics.iter().map(|(name, topic)| (name, &topic.said))
    }

    /// The topics of one mirror.
    pub fn topics_of(
        &self,
        mirror: &MirrorName,
    ) -> impl Iterator<Item = (&TopicName, &MirrorTopic)> {
        self.topics()
            .filter(move |(_, topic)| topic.mirror == *mirror)
    }

    /// A topic by its name.
    #[must_use]
    pub fn topic(&self, name: &TopicName) -> Option<&MirrorTopic> {
        self.topics.get(name).map(|topic| &topic.said)
    }

    /// The records that make an empty registry what this one is, mirrors first.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let mirrors = self.mirrors.iter();
        let mirrors =
            mirrors.map(|(name, mirror)| Record::Mirror(name.clone(), Some(mirror.said())));
        let topics = self.topics();
        let topics = topics.map(|(name, said)| Record::Topic(name.clone(), Some(said.clone())));
        mirrors.chain(topics)
    }

    /// Takes in a record that is kept at `offset`. Records of partitions say nothing here.
    ///
    /// # Errors
    /// A pattern in it is none; nothing has changed.
    pub fn apply(&mut self, offset: Offset, record: &Record) -> Result<(), SelectionFault> {
        match record {
            Record::Mirror(name, Some(said)) => {
                self.mirrors.insert(name.clone(), Mirror::read(said)?);
            }
            Record::Mirror(name, None) => {
                self.mirrors.remove(name);
            }
            Record::Topic(name, said) => self.put_topic(offset, name, said.as_ref()),
            Record::Position(..)
            | Record::HandOver(..)
            | Record::WayBack(..)
            | Record::State(..) => {}
        }
        Ok(())
    }

    fn put_topic(&mut self, changed: Offset, name: &TopicName, said: Option<&MirrorTopic>) {
        let was = match said.cloned() {
            Some(said) => self.topics.insert(name.clone(), Topic { said, changed }),
            None => self.topics.remove(name),
        };
        if let Some(was) = was.map(|was| was.said.id)
            && let Some(names) = self.ids.get_mut(&was)
        {
            names.remove(name);
            if names.is_empty() {
                self.ids.remove(&was);
            }
        }
        let id = said.map(|said| said.id);
        if let Some(id) = id.filter(|id| *id != TopicId::ZERO) {
            self.ids.entry(id).or_default().insert(name.clone());
        }
    }

    /// Makes a mirror without topics. The settings `topics.include` and `topics.exclude` are lists
    /// of patterns with commas between them; without the latter, internal topics stay out.
    ///
    /// # Errors
    /// The name is none or is taken, the settings lack the source, one of them cannot be, or a
    /// pattern is none.
    pub fn create(
        &self,
        name: &str,
        settings: BTreeMap<String, String>,
    ) -> Result<Vec<Record>, Refusal> {
        let name = MirrorName::new(name).ok_or_else(|| Refusal::MirrorName(name.to_owned()))?;
        if self.mirrors.contains_key(&name) {
            return Err(Refusal::MirrorExists(name));
        }
        if self.mirrors.len() >= MIRRORS_MAX {
            let what = "mirrors";
            let most = MIRRORS_MAX;
            return Err(Refusal::TooMany { what, most });
        }
        let mirror = Mirror::declared(settings)?;
        Ok(vec![Record::Mirror(name, Some(mirror.said()))])
    }

    /// A mirror that there is gets other settings: where its source is found, most of all. Its
    /// patterns stay as starts and stops have left them. `None` where nothing changes.
    ///
    /// # Errors
    /// There is none of that name, or a setting cannot be.
    pub fn declare_again(
        &self,
        name: &MirrorName,
        settings: BTreeMap<String, String>,
    ) -> Result<Option<Record>, Refusal> {
        let (_, known) = self.mirror(name.as_str())?;
        let settings = Mirror::declared(settings)?.settings;
        let said = ClusterMirror {
            settings,
            ..known.said()
        };
        let is_new = said.settings != known.settings;
        Ok(is_new.then(|| Record::Mirror(name.clone(), Some(said))))
    }

    /// Removes a mirror, its topics, and all that is on record of its partitions. The order of the
    /// records is such that a part of them from the front leaves no topic without a mirror.
    ///
    /// # Errors
    /// There is none of that name, or not all of it is stopped.
    pub fn delete(
        &self,
        states: &PartitionStates,
        positions: &Positions,
        name: &str,
        state_offset: Option<Offset>,
    ) -> Result<Vec<Record>, Refusal> {
        let (name, _) = self.mirror(name)?;
        let topics = || self.topics_of(name);
        self.unchanged(topics().map(|(topic, _)| topic), state_offset)?;
        if let Some((topic, _)) = topics().find(|(_, said)| said.desired != Desired::Stopped) {
            return Err(Refusal::NotEmpty {
                mirror: name.clone(),
                topic: topic.clone(),
            });
        }
        for (topic, said) in topics() {
            all_in(states, topic, said, State::Stopped)?;
        }
        let mut records: Vec<Record> = topics()
            .map(|(topic, _)| Record::Topic(topic.clone(), None))
            .collect();
        records.push(Record::Mirror(name.clone(), None));
        records.extend(forgotten(states, positions, |mirror| mirror == name));
        Ok(records)
    }

    /// What is on record of partitions whose mirror is no more, as tombstones: a removal of a
    /// mirror was cut short.
    #[must_use]
    pub fn stale(&self, states: &PartitionStates, positions: &Positions) -> Vec<Record> {
        forgotten(states, positions, |mirror| {
            !self.mirrors.contains_key(mirror)
        })
    }

    /// What the source says of a topic: its id, if that was not known, and how many partitions it
    /// has by now. None if that is no news: a count that falls is none, partitions do not vanish.
    ///
    /// # Errors
    /// The topic is in no mirror, or is no longer the one that it was.
    pub fn learn(
        &self,
        topic: &TopicName,
        id: TopicId,
        partitions: u32,
    ) -> Result<Option<Record>, Refusal> {
        let known = self.topic(topic);
        let known = known.ok_or_else(|| Refusal::UnknownTopic(topic.clone()))?;
        self.same_topic(topic, id)?;
        let learnt = MirrorTopic {
            id: if known.id == TopicId::ZERO {
                id
            } else {
                known.id
            },
            partitions: known.partitions.max(partitions),
            ..known.clone()
        };
        Ok((learnt != *known).then(|| Record::Topic(topic.clone(), Some(learnt))))
    }

    /// Refuses an id that contradicts what is known; an unknown one contradicts nothing.
    fn same_topic(&self, topic: &TopicName, stated: TopicId) -> Result<(), Refusal> {
        if stated == TopicId::ZERO {
            return Ok(());
        }
        let known = self.topic(topic).map_or(TopicId::ZERO, |known| known.id);
        if known != TopicId::ZERO && !known.agrees(stated, topic) {
            let topic = topic.clone();
            return Err(Refusal::TopicId {
                topic,
                known,
                stated,
            });
        }
        let mut named = self.ids.get(&stated).into_iter().flatten();
        match named.find(|other| *other != topic) {
            Some(other) => Err(Refusal::TopicIdTaken {
                id: stated,
                topic: other.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Refuses where one of the topics has changed behind `offset`, which is what the operator saw.
    fn unchanged<'t>(
        &self,
        topics: impl Iterator<Item = &'t TopicName>,
        offset: Option<Offset>,
    ) -> Result<(), Refusal> {
        let Some(offset) = offset else {
            return Ok(());
        };
        for name in topics {
            if self
                .topics
                .get(name)
                .is_some_and(|topic| topic.changed > offset)
            {
                return Err(Refusal::Changed(name.clone()));
            }
        }
        Ok(())
    }
}

/// The elements of a list with commas between them, each once.
fn listed(text: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    elements(text)
        .filter(|element| seen.insert(*element))
        .map(str::to_owned)
        .collect()
}

fn bounded(patterns: Vec<Pattern>) -> Result<Vec<Pattern>, Refusal> {
    let what = "patterns in a list";
    let most = PATTERNS_MAX;
    match patterns.len() > most {
        true => Err(Refusal::TooMany { what, most }),
        false => Ok(patterns),
    }
}

/// What is on record of a topic's partitions.
fn on_record<'s>(
    states: &'s PartitionStates,
    topic: &MirrorTopic,
) -> impl Iterator<Item = (PartitionIndex, &'s MirrorPartitionState)> + use<'s> {
    let key = |partition| PartitionKey {
        mirror: topic.mirror.clone(),
        topic: topic.id,
        partition: PartitionIndex::new(partition).expect("not negative"),
    };
    states
        .range(key(0)..=key(i32::MAX))
        .map(|(key, state)| (key.partition, state))
}

/// Refuses unless every partition of a topic is in one state.
fn all_in(
    states: &PartitionStates,
    topic: &TopicName,
    said: &MirrorTopic,
    expected: State,
) -> Result<(), Refusal> {
    let refuse = |partition, state| {
        Err(Refusal::WrongState {
            topic: topic.clone(),
            partition,
            state,
            expected,
        })
    };
    let mut records = on_record(states, said);
    if let Some((partition, record)) = records.find(|(_, record)| record.state != expected) {
        return refuse(partition, Some(record.state));
    }
    // The first number that is not on record.
    let there = on_record(states, said).map(|(partition, _)| partition.value());
    let count = (0..).zip(there).take_while(|(next, index)| next == index);
    let missing = i32::try_from(count.count()).ok();
    let missing = missing.filter(|missing| missing.unsigned_abs() < said.partitions);
    match missing.and_then(PartitionIndex::new) {
        Some(missing) => refuse(missing, None),
        None => Ok(()),
    }
}

/// Tombstones for all that is on record of the partitions of some mirrors.
fn forgotten(
    states: &PartitionStates,
    positions: &Positions,
    is_of: impl Fn(&MirrorName) -> bool,
) -> Vec<Record> {
    let states = states.keys().filter(|key| is_of(&key.mirror));
    let positions = positions.keys().filter(|key| is_of(&key.mirror));
    let states = states.flat_map(|key| {
        // Whoever was cut short finds the rest by the state.
        [
            Record::WayBack(key.clone(), None),
            Record::State(key.clone(), None),
        ]
    });
    let positions = positions.flat_map(|key| {
        [
            Record::Position(key.clone(), None),
            Record::HandOver(key.clone(), None),
        ]
    });
    states.chain(positions).collect()
}

#[cfg(test)]
mod tests;
