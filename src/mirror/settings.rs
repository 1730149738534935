//! What may be set about a mirror: KIP-1279's keys, each declared once.
//!
//! A setting is a text wherever it comes from: a file, a request, a record. A list is its elements
//! with commas between them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::model::{BrokerAddress, NotAnAddress};

use super::selection::{Pattern, SelectionFault};

/// A key, and what it may be.
#[derive(Debug)]
pub struct Setting {
    /// The key.
    pub name: &'static str,
    /// What it means, in one sentence.
    pub sentence: &'static str,
    /// What it may be.
    pub kind: SettingKind,
    /// What holds where it is not set, in words.
    pub unless_set: &'static str,
    place: fn(&mut MirrorSettings) -> Place<'_>,
}

/// What a setting may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A whole number within bounds.
    Number(RangeInclusive<u32>),
    /// Any text but an empty one.
    Text,
    /// A list of `HOST:PORT`, one at least.
    Addresses,
    /// A list of regular expressions.
    Patterns,
    /// One of some words.
    Choice(&'static [&'static str]),
}

/// Where a setting goes.
enum Place<'a> {
    Number(&'a mut Option<u32>),
    Text(&'a mut Option<String>),
    Addresses(&'a mut Vec<BrokerAddress>),
    Patterns(&'a mut Vec<Pattern>),
    /// Whoever needs it compiles it.
    Elsewhere,
}

/// The settings of a mirror, read. Topics are chosen by the patterns of
/// [`super::Mirror`], which change as topics are started and stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorSettings {
    /// Brokers of the source to begin with.
    pub bootstrap_servers: Vec<BrokerAddress>,
    /// The cluster that the source has to be.
    pub source_cluster_id: Option<String>,
    /// The node that mirrors the other way.
    pub peer: Vec<BrokerAddress>,
    /// Topics of which what the source takes back goes here too.
    pub unclean_topics: Vec<Pattern>,
    /// The exported report of its stops, which is believed where it cannot be reached.
    pub peer_report: Option<String>,
    /// How long a rare request to the source may take.
    pub request_timeout_ms: Option<u32>,
    /// How long the source may hold a fetch back.
    pub fetch_wait_max_ms: Option<u32>,
    /// The first wait after a failure.
    pub fetch_backoff_ms: Option<u32>,
    /// Bytes for whose sake the source may hold a fetch back.
    pub fetch_min_bytes: Option<u32>,
    /// Bytes of records that one fetch answer may hold.
    pub fetch_response_max_bytes: Option<u32>,
    /// Bytes of records that one partition may take of a fetch answer.
    pub fetch_max_bytes: Option<u32>,
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {why}")]
pub struct SettingFault {
    /// Its key.
    pub name: String,
    /// What is wrong with it.
    pub why: SettingWrong,
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingWrong {
    /// There is none of that key.
    #[error("no such setting of a mirror; there are {}", known())]
    Unknown,
    /// No number, or one out of bounds.
    #[error("'{value}' is not a whole number from {min} to {max}")]
    Number {
        /// As it was written.
        value: String,
        /// The least that may be.
        min: u32,
        /// The most that may be.
        max: u32,
    },
    /// Nothing where something belongs.
    #[error("nothing is said; leave the key out for its default")]
    Empty,
    /// A broker's address that is none.
    #[error(transparent)]
    Address(#[from] NotAnAddress),
    /// A pattern that is none.
    #[error(transparent)]
    Pattern(#[from] SelectionFault),
    /// Another word.
    #[error("'{value}' is not one of {words}")]
    Choice {
        /// As it was written.
        value: String,
        /// Those that may be.
        words: String,
    },
}

const ASKED_BYTES: SettingKind = SettingKind::Number(1..=0x7fff_ffff);
const UP_TO_AN_HOUR: SettingKind = SettingKind::Number(1..=3_600_000);

/// Every setting that a mirror may have.
pub static SETTINGS: [Setting; 14] = [
    Setting {
        name: "bootstrap.servers",
        sentence: "Brokers of the source to begin with.",
        kind: SettingKind::Addresses,
        unless_set: "it has to be set",
        place: |to| Place::Addresses(&mut to.bootstrap_servers),
    },
    Setting {
        name: "source.cluster.id",
        sentence: "The cluster that the source has to be.",
        kind: SettingKind::Text,
        unless_set: "what it is when it is first asked",
        place: |to| Place::Text(&mut to.source_cluster_id),
    },
    Setting {
        name: "peer",
        sentence: "Where the node listens (admin.listen) that mirrors the other way.",
        kind: SettingKind::Addresses,
        unless_set: "nothing is mirrored back onto what it came from",
        place: |to| Place::Addresses(&mut to.peer),
    },
    Setting {
        name: "peer.report",
        sentence: "A copy of its stop's report (stop --report), for where it cannot be reached.",
        kind: SettingKind::Text,
        unless_set: "only the node itself can tell",
        place: |to| Place::Text(&mut to.peer_report),
    },
    Setting {
        name: "topics.include",
        sentence: "Patterns of whole names of topics to mirror, as they appear.",
        kind: SettingKind::Patterns,
        unless_set: "none: only topics that are started by name",
        place: |_| Place::Elsewhere,
    },
    Setting {
        name: "topics.exclude",
        sentence: "Patterns of whole names of topics to leave out all the same.",
        kind: SettingKind::Patterns,
        unless_set: "__.*",
        place: |_| Place::Elsewhere,
    },
    Setting {
        name: "unclean.leader.election.topics",
        sentence: "Patterns of topics that may lose here what an unclean election at the source \
                   loses.",
        kind: SettingKind::Patterns,
        unless_set: "none: such a partition fails",
        place: |to| Place::Patterns(&mut to.unclean_topics),
    },
    Setting {
        name: "security.protocol",
        sentence: "How the source is spoken to.",
        kind: SettingKind::Choice(&["PLAINTEXT"]),
        unless_set: "PLAINTEXT",
        place: |_| Place::Elsewhere,
    },
    Setting {
        name: "request.timeout.ms",
        sentence: "How long a rare request, such as one for metadata, may take.",
        kind: SettingKind::Number(100..=3_600_000),
        unless_set: "source.request_timeout_ms",
        place: |to| Place::Number(&mut to.request_timeout_ms),
    },
    Setting {
        name: "fetch.wait.max.ms",
        sentence: "How long the source may hold a fetch back for want of records.",
        kind: SettingKind::Number(1..=300_000),
        unless_set: "source.fetch_wait_ms",
        place: |to| Place::Number(&mut to.fetch_wait_max_ms),
    },
    Setting {
        name: "fetch.backoff.ms",
        sentence: "The first wait after a failure; it doubles with every further one.",
        kind: UP_TO_AN_HOUR,
        unless_set: "source.retry_backoff_ms",
        place: |to| Place::Number(&mut to.fetch_backoff_ms),
    },
    Setting {
        name: "fetch.min.bytes",
        sentence: "Bytes of records for whose sake the source may hold a fetch back.",
        kind: ASKED_BYTES,
        unless_set: "source.fetch_min_bytes",
        place: |to| Place::Number(&mut to.fetch_min_bytes),
    },
    Setting {
        name: "fetch.response.max.bytes",
        sentence: "Bytes of records that one fetch answer may hold.",
        kind: ASKED_BYTES,
        unless_set: "source.fetch_bytes_max",
        place: |to| Place::Number(&mut to.fetch_response_max_bytes),
    },
    Setting {
        name: "fetch.max.bytes",
        sentence: "Bytes of records that one partition may take of a fetch answer.",
        kind: ASKED_BYTES,
        unless_set: "source.partition_bytes_max",
        place: |to| Place::Number(&mut to.fetch_max_bytes),
    },
];

impl Setting {
    /// The setting of that key.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Whether `value` may be set.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, value: &str) -> Result<(), SettingWrong> {
        self.read(value, &mut MirrorSettings::default())
    }

    fn read(&self, value: &str, to: &mut MirrorSettings) -> Result<(), SettingWrong> {
        let place = (self.place)(to);
        match &self.kind {
            SettingKind::Number(bounds) => {
                let number = value.trim().parse().ok();
                let number = number.filter(|number| bounds.contains(number));
                let number = number.ok_or_else(|| SettingWrong::Number {
                    value: value.to_owned(),
                    min: *bounds.start(),
                    max: *bounds.end(),
                })?;
                if let Place::Number(place) = place {
                    *place = Some(number);
                }
            }
            SettingKind::Text => {
                if value.trim().is_empty() {
                    return Err(SettingWrong::Empty);
                }
                if let Place::Text(place) = place {
                    *place = Some(value.trim().to_owned());
                }
            }
            SettingKind::Addresses => {
                let addresses = elements(value).map(str::parse);
                let addresses: Vec<BrokerAddress> = addresses.collect::<Result<_, _>>()?;
                if addresses.is_empty() {
                    return Err(SettingWrong::Empty);
                }
                if let Place::Addresses(place) = place {
                    *place = addresses;
                }
            }
            SettingKind::Patterns => {
                let patterns = elements(value).map(Pattern::new);
                let patterns = patterns.collect::<Result<_, _>>()?;
                if let Place::Patterns(place) = place {
                    *place = patterns;
                }
            }
            SettingKind::Choice(words) => {
                if !words.contains(&value.trim()) {
                    return Err(SettingWrong::Choice {
                        value: value.to_owned(),
                        words: words.join(", "),
                    });
                }
            }
        }
        Ok(())
    }
}

impl MirrorSettings {
    /// Reads what is set. Nothing has to be.
    ///
    /// # Errors
    /// The first that cannot be, by key.
    pub fn read(settings: &BTreeMap<String, String>) -> Result<MirrorSettings, SettingFault> {
        let mut read = MirrorSettings::default();
        for (name, value) in settings {
            let setting = Setting::named(name).ok_or(SettingWrong::Unknown);
            let put = setting.and_then(|setting| setting.read(value, &mut read));
            put.map_err(|why| SettingFault {
                name: name.clone(),
                why,
            })?;
        }
        Ok(read)
    }
}

/// The elements of a list with commas between them; what is empty is none.
pub(super) fn elements(list: &str) -> impl Iterator<Item = &str> {
    let elements = list.split(',').map(str::trim);
    elements.filter(|element| !element.is_empty())
}

fn known() -> String {
    let names = SETTINGS.iter().map(|setting| setting.name);
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
