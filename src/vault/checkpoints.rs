//! The three offset checkpoints at the top of a log directory (`OffsetCheckpointFile`).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use crate::io::{Disk, Durability, replace};
use crate::model::{Offset, PartitionIndex, TopicName, TopicPartition};
use crate::stdx::lines;

use super::{VaultFault, at, read_text};

/// One offset per partition.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

const VERSION: u32 = 0;

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// Below it a log's files were synced.
    RecoveryPoint,
    /// The high watermark.
    HighWatermark,
    /// The first offset that may be read.
    LogStart,
}

impl Checkpoint {
    /// The file's name, as a broker knows it.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Checkpoint::RecoveryPoint => "recovery-point-offset-checkpoint",
            Checkpoint::HighWatermark => "replication-offset-checkpoint",
            Checkpoint::LogStart => "log-start-offset-checkpoint",
        }
    }
}

/// What a checkpoint says.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Of partitions that somebody knows.
    pub(super) offsets: Offsets,
    /// How many others it names.
    pub(super) strangers: usize,
    /// The first of them.
    pub(super) stranger: Option<TopicPartition>,
}

impl Told {
    /// That it names partitions which nobody knows, in words.
    pub(super) fn strangers(&self, which: Checkpoint) -> Option<String> {
        let file = which.file_name();
        let (count, first) = (self.strangers, self.stranger.as_ref()?);
        Some(format!(
            "{first}: {file} names it, the vault's notes do not ({count} such partitions)"
        ))
    }
}

/// A missing file has no entries. Of partitions that are not among `known`, which are sorted, none
/// is kept but the first: a file that is damaged may name any number.
pub(super) fn read<D: Disk>(
    disk: &D,
    dir: &Path,
    which: Checkpoint,
    known: &[TopicPartition],
) -> Result<Told, VaultFault> {
    let path = dir.join(which.file_name());
    let text = read_text(disk, &path)?.unwrap_or_default();
    let mut told = Told::default();
    each(&text, &path, |entry| {
        match known.binary_search_by(|id| entry.compared_to(id)) {
            Ok(nth) => drop(told.offsets.insert(known[nth].clone(), entry.offset)),
            Err(_) => {
                told.strangers += 1;
                told.stranger.get_or_insert_with(|| entry.id());
            }
        }
    })?;
    Ok(told)
}

/// What the text of the checkpoint at `path` says.
pub(super) fn from_text(text: &str, path: &Path) -> Result<Offsets, VaultFault> {
    let mut offsets = Offsets::new();
    each(text, path, |entry| {
        offsets.insert(entry.id(), entry.offset);
    })?;
    Ok(offsets)
}

/// The same; of a file that is damaged, or gone while something is noted, the notes are believed,
/// and `damage` told.
pub(super) fn read_or<D: Disk>(
    disk: &D,
    dir: &Path,
    which: Checkpoint,
    known: &[TopicPartition],
    offsets_noted: Offsets,
    damage: &mut Vec<String>,
) -> Result<Told, VaultFault> {
    let path = dir.join(which.file_name());
    let noted = |noted| Told {
        offsets: noted,
        ..Told::default()
    };
    match read(disk, dir, which, known) {
        Ok(told) if told.offsets.is_empty() && !offsets_noted.is_empty() => {
            damage.push(format!("{} is missing or empty", path.display()));
            Ok(noted(offsets_noted))
        }
        Err(fault @ VaultFault::Damaged { .. }) => {
            damage.push(fault.to_string());
            Ok(noted(offsets_noted))
        }
        told => told,
    }
}

pub(super) fn write<D: Disk>(
    disk: &D,
    dir: &Path,
    which: Checkpoint,
    offsets: &Offsets,
) -> Result<(), VaultFault> {
    let path = dir.join(which.file_name());
    let text = lines::write(VERSION, offsets.iter().map(line));
    replace(disk, &path, text.as_bytes(), Durability::PowerLoss).map_err(at(&path))
}

/// Adds offsets to a checkpoint of a stopped broker's log directory, durably; what it says of other
/// partitions stays, line by line.
///
/// # Errors
/// The file is damaged, or what the system says.
pub fn merge_checkpoint<D: Disk>(
    disk: &D,
    dir: &Path,
    which: Checkpoint,
    offsets: &Offsets,
) -> Result<(), VaultFault> {
    let path = dir.join(which.file_name());
    let text = read_text(disk, &path)?.unwrap_or_default();
    let ours: Vec<&TopicPartition> = offsets.keys().collect();
    let is_ours = |entry: &Line<'_>| ours.binary_search_by(|id| entry.compared_to(id)).is_ok();
    let (mut kept, mut kept_bytes) = (0, 0);
    each(&text, &path, |entry| {
        if !is_ours(entry) {
            kept += 1;
            kept_bytes += entry.text.len() + 1;
        }
    })?;
    let mut merged = lines::head(VERSION, kept + offsets.len());
    for entry in offsets.iter().map(line) {
        merged.push_str(&entry);
        merged.push('\n');
    }
    merged.reserve_exact(kept_bytes);
    each(&text, &path, |entry| {
        if !is_ours(entry) {
            merged.push_str(entry.text);
            merged.push('\n');
        }
    })?;
    replace(disk, &path, merged.as_bytes(), Durability::PowerLoss).map_err(at(&path))
}

/// A line of a checkpoint, read where it stands.
struct Line<'t> {
    text: &'t str,
    topic: &'t str,
    partition: PartitionIndex,
    offset: Offset,
}

impl Line<'_> {
    fn read(text: &str) -> Option<Line<'_>> {
        let mut words = text.split(' ');
        let topic = words.next().filter(|name| TopicName::is_legal(name))?;
        let partition = PartitionIndex::new(words.next()?.parse().ok()?)?;
        let offset = Offset::from_wire(words.next()?.parse().ok()?)?;
        let line = Line {
            text,
            topic,
            partition,
            offset,
        };
        words.next().is_none().then_some(line)
    }

    /// Where `id` stands in an order of partitions that has this line's at its own place.
    fn compared_to(&self, id: &TopicPartition) -> Ordering {
        let held = (id.topic.as_str(), id.partition);
        held.cmp(&(self.topic, self.partition))
    }

    fn id(&self) -> TopicPartition {
        TopicPartition {
            topic: TopicName::new(self.topic).expect("a line that was read names a legal one"),
            partition: self.partition,
        }
    }
}

fn each(text: &str, path: &Path, mut show: impl FnMut(&Line<'_>)) -> Result<(), VaultFault> {
    let read = lines::each(text, VERSION, |line| {
        show(&Line::read(line)?);
        Some(())
    });
    read.map_err(|fault| VaultFault::Damaged {
        path: path.to_owned(),
        why: fault.to_string(),
    })
}

fn line((id, offset): (&TopicPartition, &Offset)) -> String {
    format!("{} {} {offset}", id.topic, id.partition)
}
