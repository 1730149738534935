//! `twinlog.state`: what a vault knows that Kafka's files cannot say.
//!
//! One line `twinlog.state 1 CRC32` in hexadecimal over everything behind it, then JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::io::{Disk, Durability, replace};
use crate::model::{Offset, ProducerIdShift, TopicId, TopicPartition};

use super::{VaultFault, at, identity, read_text};

pub(super) const FILE: &str = "twinlog.state";
/// The same as it was when the vault was opened or closed last.
pub(super) const COPY: &str = "twinlog.state.copy";
const HEAD: &str = "twinlog.state 1 ";

/// Our own notes about a whole vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The cluster that is copied.
    pub source_cluster_id: String,
    /// The id of the directory that they are of; unknown in notes of an early version.
    pub directory_id: Option<String>,
    /// What was added to every producer id that the vault holds.
    pub producer_id_shift: ProducerIdShift,
    /// What is known of each partition.
    pub partitions: BTreeMap<TopicPartition, PartitionState>,
}

/// Our own notes about one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// The topic's id at the source.
    pub topic_id: TopicId,
    /// The log end when this was written.
    pub position: Offset,
    /// The first offset that may be read; unknown in notes of an early version.
    pub log_start: Option<Offset>,
    /// What the source had lost before we came, in order.
    pub gaps: Vec<Gap>,
    /// How copying ended last time.
    pub ending: Ending,
}

/// Offsets that the source no longer had when we asked: `from` up to, not including, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first missing offset.
    pub from: Offset,
    /// The first offset behind the gap.
    pub to: Offset,
}

/// How copying a partition ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was being copied when this was written.
    Running,
    /// Everything that was asked for is here.
    CaughtUp,
    /// It was given up, for this reason.
    Stopped {
        /// The reason, in words.
        why: String,
    },
}

/// The notes as they are believed.
pub(super) struct Read {
    pub(super) state: State,
    /// Their copy is sound, and says something else.
    pub(super) differs: bool,
}

/// The notes, or their copy where they are damaged or of another directory; what is so is told to
/// `damage`.
pub(super) fn read<D: Disk>(
    disk: &D,
    dir: &Path,
    damage: &mut Vec<String>,
) -> Result<Read, VaultFault> {
    let own = identity::directory_id(disk, dir)?;
    let is_elsewhere = |one: &State| {
        let noted = one.directory_id.as_ref();
        noted
            .zip(own.as_ref())
            .is_some_and(|(noted, own)| noted != own)
    };
    let checked = |file| read_one(disk, dir, file).map(|state| (is_elsewhere(&state), state));
    let (mut state, mut copy) = (checked(FILE), checked(COPY));
    let ids = |one: &Result<(bool, State), _>| Some(one.as_ref().ok()?.1.directory_id.clone());
    // Where both agree, it is the identity that is another's.
    if ids(&state) != ids(&copy) {
        state = refused(state, &dir.join(FILE));
        copy = refused(copy, &dir.join(COPY));
    }
    let believed = |state| Read {
        state,
        differs: false,
    };
    match (state, copy) {
        (Ok((_, state)), Ok((_, copy))) => Ok(Read {
            differs: state != copy,
            state,
        }),
        (Ok((_, state)), Err(fault @ VaultFault::Damaged { .. }))
        | (Err(fault @ VaultFault::Damaged { .. }), Ok((_, state))) => {
            damage.push(fault.to_string());
            Ok(believed(state))
        }
        (Err(VaultFault::Damaged { why, .. }), Err(VaultFault::Damaged { .. })) => {
            Err(VaultFault::NotesLost {
                dir: dir.to_owned(),
                why,
            })
        }
        (Err(fault), _) | (_, Err(fault)) => Err(fault),
    }
}

/// What is of another directory is as good as damaged.
fn refused(
    one: Result<(bool, State), VaultFault>,
    path: &Path,
) -> Result<(bool, State), VaultFault> {
    match one {
        Ok((true, _)) => Err(VaultFault::Damaged {
            path: path.to_owned(),
            why: "it is another directory's".to_owned(),
        }),
        one => one,
    }
}

/// One of the two files by itself.
pub(super) fn read_one<D: Disk>(disk: &D, dir: &Path, file: &str) -> Result<State, VaultFault> {
    let path = dir.join(file);
    let damaged = |why: &str| VaultFault::Damaged {
        path: path.clone(),
        why: why.to_owned(),
    };
    let text = read_text(disk, &path)?.ok_or_else(|| damaged("it is missing"))?;
    let (head, json) = text
        .split_once('\n')
        .ok_or_else(|| damaged("it has no first line"))?;
    let sum = head
        .strip_prefix(HEAD)
        .ok_or_else(|| damaged("its first line is not ours"))?;
    if sum != checksum(json) {
        return Err(damaged("its checksum does not agree"));
    }
    let stored: Stored = serde_json::from_str(json).map_err(|error| damaged(&error.to_string()))?;
    stored.checked().map_err(|line| damaged(&line))
}

pub(super) fn write<D: Disk>(disk: &D, dir: &Path, state: &State) -> Result<(), VaultFault> {
    write_one(disk, dir.join(FILE), state)
}

pub(super) fn write_copy<D: Disk>(disk: &D, dir: &Path, state: &State) -> Result<(), VaultFault> {
    write_one(disk, dir.join(COPY), state)
}

fn write_one<D: Disk>(disk: &D, path: PathBuf, state: &State) -> Result<(), VaultFault> {
    let mut json = serde_json::to_string_pretty(&Stored::of(state))
        .expect("numbers, texts and maps with text keys are JSON");
    json.push('\n');
    let text = format!("{HEAD}{}\n{json}", checksum(&json));
    replace(disk, &path, text.as_bytes(), Durability::PowerLoss).map_err(at(&path))
}

fn checksum(json: &str) -> String {
    format!("{:08x}", crc32fast::hash(json.as_bytes()))
}

/// The form on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    source_cluster_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    directory_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    producer_id_shift: Option<i64>,
    partitions: BTreeMap<String, StoredPartition>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPartition {
    topic_id: String,
    /// The source told no id: this one stands for the topic's name, so that nothing tells a topic
    /// from another one that was given its name later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_name: bool,
    position: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_start: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<(i64, i64)>,
    ending: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Stored {
    fn of(state: &State) -> Stored {
        let entry = |(id, one): (&TopicPartition, &PartitionState)| {
            (id.to_string(), StoredPartition::of(id, one))
        };
        Stored {
            source_cluster_id: state.source_cluster_id.clone(),
            directory_id: state.directory_id.clone(),
            producer_id_shift: Some(state.producer_id_shift.value()).filter(|shift| *shift != 0),
            partitions: state.partitions.iter().map(entry).collect(),
        }
    }

    fn checked(self) -> Result<State, String> {
        let partition = |(name, stored): (String, StoredPartition)| {
            let id: Option<TopicPartition> = name.parse().ok();
            let entry = id.and_then(|id| Some((id.clone(), stored.checked(&id)?)));
            entry.ok_or_else(|| format!("its entry for {name} cannot be read"))
        };
        let shift = ProducerIdShift::new(self.producer_id_shift.unwrap_or_default());
        let shift = shift.ok_or("its producer_id_shift is negative")?;
        Ok(State {
            source_cluster_id: self.source_cluster_id,
            directory_id: self.directory_id,
            producer_id_shift: shift,
            partitions: self
                .partitions
                .into_iter()
                .map(partition)
                .collect::<Result<_, String>>()?,
        })
    }
}

impl StoredPartition {
    fn of(id: &TopicPartition, state: &PartitionState) -> StoredPartition {
        let (ending, why) = match &state.ending {
            Ending::Running => ("running", None),
            Ending::CaughtUp => ("caught-up", None),
            Ending::Stopped { why } => ("stopped", Some(why.clone())),
        };
        let gap = |gap: &Gap| (gap.from.value(), gap.to.value());
        StoredPartition {
            topic_id: state.topic_id.to_string(),
            by_name: state.topic_id == TopicId::of_name(&id.topic),
            position: state.position.value(),
            log_start: state.log_start.map(Offset::value),
            gaps: state.gaps.iter().map(gap).collect(),
            ending: ending.to_owned(),
            why,
        }
    }

    fn checked(self, id: &TopicPartition) -> Option<PartitionState> {
        let ending = match (self.ending.as_str(), self.why) {
            ("running", None) => Ending::Running,
            ("caught-up", None) => Ending::CaughtUp,
            ("stopped", Some(why)) => Ending::Stopped { why },
            _ => return None,
        };
        let gap = |(from, to): (i64, i64)| {
            let (from, to) = (Offset::from_wire(from)?, Offset::from_wire(to)?);
            (from < to).then_some(Gap { from, to })
        };
        let topic_id = self.topic_id.parse().ok()?;
        if self.by_name != (topic_id == TopicId::of_name(&id.topic)) {
            return None;
        }
        Some(PartitionState {
            topic_id,
            position: Offset::from_wire(self.position)?,
            log_start: match self.log_start {
                Some(start) => Some(Offset::from_wire(start)?),
                None => None,
            },
            gaps: self.gaps.into_iter().map(gap).collect::<Option<_>>()?,
            ending,
        })
    }
}
